"""The ASGI application: `uvicorn control_plane.app:create_app --factory`."""

import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from sqlalchemy import text
from sqlalchemy.exc import InterfaceError, OperationalError, ProgrammingError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolExhausted
from starlette.middleware.cors import CORSMiddleware

from control_plane import (
    __version__,
    access_log,
    api,
    description,
    etags,
    methods,
    problems,
    reference_pages,
    validation,
)
from control_plane import settings as configuration
from control_plane.agent_tools.server import McpServer
from control_plane.audit.requests import record_presence, record_request
from control_plane.auth import local_issuer_router, oidc_sign_in, sign_in_router
from control_plane.auth.credentials import Authenticator, Hasher
from control_plane.auth.local_issuer import LocalIssuer
from control_plane.auth.members import MemberDirectory
from control_plane.db import Database
from control_plane.events.notifications import Notifications
from control_plane.executions.dispatch import Dispatcher
from control_plane.llm import connections as model_connections
from control_plane.llm.loading import warm_up
from control_plane.llm.metering import Metering
from control_plane.llm.server_directory import ServerDirectory
from control_plane.middleware import CORS, BodyLimit, HeaderLimit, NotKept, RequestId
from control_plane.model_providers.directory import OrganizationDirectory
from control_plane.prefect_gateway.gateway import Gateway
from control_plane.prefect_gateway.scope import Scopes
from control_plane.prefect_gateway.upstream import Upstream
from control_plane.rate_limits import RateLimits
from control_plane.run_history.events import Events
from control_plane.run_history.history import RunHistory
from control_plane.run_history.pages import Pages
from control_plane.run_history.pages import router as run_history_pages
from control_plane.run_history.router import router as run_history
from control_plane.run_history.scope import Scopes as RunHistoryScopes
from control_plane.secrets.encryption import Keyring
from control_plane.settings import Settings
from control_plane.worker_queues import waking
from deployments.orchestrator import Orchestrator, OrchestratorUnavailable, load
from policies.regorus_engine import RegorusEngine

logger = logging.getLogger(__name__)


def create_app(settings: Settings | None = None, *, orchestrator: Orchestrator | None = None) -> FastAPI:
    """The application. Settings come from the environment and the orchestrator from the settings, unless given."""
    settings = settings or configuration.settings()
    app = FastAPI(
        title="Agent Control Plane",
        version=__version__,
        description="Agents that act on real infrastructure, for many teams, under policy.",
        docs_url=None,  # see reference_pages
        redoc_url=None,
        lifespan=_lifespan,
        generate_unique_id_function=_operation_id,
    )
    app.state.settings = settings
    app.state.local_issuer = LocalIssuer.of(settings)
    app.state.orchestrator = orchestrator or _orchestrator(settings)
    app.state.record_request, app.state.record_presence = record_request, record_presence
    app.state.keyring = Keyring.of(settings.encryption_keys)
    problems.install(app)
    description.install(app)
    methods.install(app)
    validation.install(app)
    etags.install(app)
    for trouble in (OperationalError, InterfaceError, PoolExhausted):
        app.add_exception_handler(trouble, _render_database_trouble)
    app.add_exception_handler(ProgrammingError, _render_row_refused)
    app.add_middleware(BodyLimit, limit=settings.max_body_bytes, artifacts=settings.max_artifact_bytes)
    if settings.rate_limit:
        app.add_middleware(RateLimits, rate=settings.rate_limit, burst=settings.rate_limit_burst)
    if settings.cors_origins:
        # Outside of what refuses, so that a browser may read refusals too.
        app.add_middleware(CORSMiddleware, allow_origins=settings.cors_origins, **CORS)
    app.add_middleware(HeaderLimit)
    app.add_middleware(NotKept)
    app.add_middleware(RequestId)
    api.install(app)
    app.include_router(local_issuer_router.router)
    app.include_router(sign_in_router.router)
    app.include_router(run_history)
    app.include_router(run_history_pages)
    reference_pages.install(app)
    app.add_api_route("/health", _health, tags=["operations"])
    app.add_api_route("/ready", _ready, tags=["operations"], response_model=None)
    return app


def _operation_id(route: APIRoute) -> str:
    return route.name.removeprefix("_")


def _orchestrator(settings: Settings) -> Orchestrator:
    api_url = str(settings.prefect_api_url).rstrip("/")
    auth_string = settings.prefect_auth_string
    return load(settings.orchestrator)(
        api_url=api_url,
        ui_url=str(settings.prefect_ui_url or str(settings.public_url).rstrip("/") + run_history_pages.prefix),
        auth_string=auth_string.get_secret_value() if auth_string else None,
    )


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings: Settings = app.state.settings
    state = app.state
    url = settings.database_url.get_secret_value()
    operator_key = settings.operator_key
    access_log.install()
    async with AsyncExitStack() as stack:
        state.database = Database(url, pool_size=settings.database_pool_size)
        stack.push_async_callback(state.database.close)
        state.hasher = Hasher(settings.secret_key.get_secret_value())
        sign_in = await stack.enter_async_context(
            oidc_sign_in.opened(settings.oidc_issuers, state.local_issuer, MemberDirectory(state.database))
        )
        state.authenticator = Authenticator(
            state.database,
            state.hasher,
            operator_key=operator_key.get_secret_value() if operator_key else None,
            sign_in=sign_in,
        )
        stack.push_async_callback(state.authenticator.stop)
        stack.push_async_callback(state.orchestrator.aclose)
        upstream = Upstream.of(settings)
        stack.push_async_callback(upstream.aclose)
        state.prefect_gateway, state.prefect_scopes = Gateway(upstream), Scopes(state.database)
        # Connections of its own: however much people read, workers still get through.
        readers = Upstream.of(settings)
        stack.push_async_callback(readers.aclose)
        state.run_history, state.run_history_events = RunHistory(readers), Events(readers)
        state.run_history_pages = Pages()
        state.run_history_scopes = RunHistoryScopes(state.database)
        state.metering = Metering(state.database)
        stack.push_async_callback(state.metering.stop)
        state.model_gateway = await stack.enter_async_context(
            model_connections.opened(
                OrganizationDirectory(
                    state.database, state.keyring, ServerDirectory.of(settings), shared=settings.shared_model_keys
                ),
                state.metering,
                private_allowed=settings.private_model_providers,
            )
        )
        state.agent_tools = McpServer()
        stack.push_async_callback(state.agent_tools.stop)
        state.policy_engine = await stack.enter_async_context(RegorusEngine())
        state.notifications = Notifications(url, waking.CHANNEL)
        await state.notifications.start()
        stack.push_async_callback(state.notifications.stop)
        state.dispatcher = Dispatcher(
            state.database, state.orchestrator, every=settings.reconcile_every, lease=settings.lease
        )
        await state.dispatcher.start()
        stack.push_async_callback(state.dispatcher.stop)
        warm_up()
        yield


async def _render_database_trouble(request: Request, error: Exception) -> JSONResponse:
    logger.warning("request %s failed for want of the database", request.scope.get("request_id"), exc_info=error)
    trouble = problems.Unavailable(
        "The database doesn't answer at the moment. Send the request again.", headers={"Retry-After": "1"}
    )
    return problems.render_problem(request, trouble)


async def _render_row_refused(request: Request, error: Exception) -> JSONResponse:
    # Row policies stop a write into a project in which the principal lacks the permission that it has elsewhere.
    if "row-level security" not in str(getattr(error, "orig", "")):
        raise error
    return problems.render_problem(request, problems.Forbidden("None of your roles allows this in that project."))


async def _health() -> dict[str, str]:
    """Whether this process is alive. It asks nobody else."""
    return {"status": "ok", "version": __version__}


async def _ready(request: Request) -> JSONResponse:
    """Whether this process can serve: database, schema and orchestrator, really asked. 503 names what is missing.

    Without the orchestrator executions are still accepted, so it is reported but doesn't make the answer 503.
    """
    checks = {"database": await _check_database(request.app), "orchestrator": await _check_orchestrator(request.app)}
    ready = checks["database"] == "ok"
    body: dict[str, Any] = {"status": "ready" if ready else "unavailable", "version": __version__, "checks": checks}
    return JSONResponse(body, status_code=200 if ready else 503)


async def _check_database(app: FastAPI) -> str:
    try:
        async with app.state.database.tenant(None) as session:
            await session.execute(text("SELECT FROM executions LIMIT 0"))
    except SQLAlchemyError as error:
        logger.warning("the database check failed: %s", type(error).__name__)
        return "The database doesn't answer or isn't migrated. Check DATABASE_URL, then run `control-plane migrate`."
    return "ok"


async def _check_orchestrator(app: FastAPI) -> str:
    try:
        await app.state.orchestrator.check()
    except OrchestratorUnavailable as error:
        return f"{error}. Executions are accepted and run when it is back."
    return "ok"
