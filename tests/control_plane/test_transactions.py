import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, Response
from fastapi.routing import APIRoute, iter_route_contexts

from control_plane.app import create_app
from control_plane.auth.dependencies import Db, MayWriteProjects
from control_plane.db import after_commit
from control_plane.projects.models import Project
from control_plane.settings import Settings
from control_plane.transactions import TenantRoute
from tests.orchestrator import FakeOrchestrator
from tests.serving import serving
from tests.tenants import Tenant, client

pytestmark = pytest.mark.integration

OF_MACHINES = ("/api/v1/worker/", "/api/v1/worker-sessions/current", "/api/v1/llm/", "/api/v1/prefect/")
"""Protocols of their own, which say themselves how a request is repeated."""


@pytest.fixture
def committed() -> list[str]:
    """What was told of commits."""
    return []


@pytest.fixture
async def endpoint(settings: Settings, acme: Tenant, committed: list[str]) -> AsyncIterator[httpx.AsyncClient]:
    """A server with one more route, which makes a project and answers with the status that it is asked for."""
    router = APIRouter(prefix="/extra", route_class=TenantRoute)

    @router.post("/{status}")
    async def make(status: int, principal: MayWriteProjects, session: Db) -> Response:
        session.add(Project(organization_id=principal.tenant, name="Extra", slug="extra"))
        await session.flush()
        after_commit(session, lambda: committed.append("extra"))
        return Response(b"{}", status_code=status)

    app = create_app(settings, orchestrator=FakeOrchestrator())
    app.include_router(router, prefix="/api/v1")
    async with serving(app) as url, client(url, acme.api_key) as caller:
        yield caller


async def made(caller: httpx.AsyncClient) -> list[Any]:
    projects: list[Any] = (await caller.get("/projects", params={"slug": "extra"})).json()
    return projects


@pytest.mark.parametrize("status", [400, 409, 500])
async def test_an_answer_that_refuses_undoes_everything_though_nothing_was_raised(
    endpoint: httpx.AsyncClient, committed: list[str], status: int
) -> None:
    response = await endpoint.post(f"/extra/{status}", headers={"Idempotency-Key": "one"})

    assert response.status_code == status
    assert await made(endpoint) == []
    assert committed == []


async def test_an_answer_that_refuses_is_not_replayed(endpoint: httpx.AsyncClient) -> None:
    await endpoint.post("/extra/409", headers={"Idempotency-Key": "one"})

    response = await endpoint.post("/extra/201", headers={"Idempotency-Key": "one"})

    assert response.status_code == 201
    assert "Idempotent-Replayed" not in response.headers
    assert len(await made(endpoint)) == 1


async def test_what_waits_for_the_commit_is_called_once_and_not_again_by_a_replay(
    endpoint: httpx.AsyncClient, committed: list[str]
) -> None:
    await endpoint.post("/extra/201", headers={"Idempotency-Key": "one"})

    response = await endpoint.post("/extra/201", headers={"Idempotency-Key": "one"})

    assert response.headers["Idempotent-Replayed"] == "true"
    assert committed == ["extra"]


def test_every_route_that_people_call_owns_its_transaction(settings: Settings) -> None:
    app = create_app(settings, orchestrator=FakeOrchestrator())
    of_people = [
        context.original_route
        for context in iter_route_contexts(app.routes)
        if (context.path or "").startswith("/api/v1") and not (context.path or "").startswith(OF_MACHINES)
    ]

    others = [route for route in of_people if not isinstance(route, TenantRoute)]

    assert len(of_people) > 15
    assert [route.path for route in others if isinstance(route, APIRoute)] == []
    assert others == []


def test_every_post_that_people_send_declares_the_key_and_its_conflict(settings: Settings) -> None:
    document = create_app(settings, orchestrator=FakeOrchestrator()).openapi()
    posts = {
        path: methods["post"]
        for path, methods in document["paths"].items()
        if "post" in methods and not path.startswith(OF_MACHINES)
    }

    undeclared = [
        path
        for path, operation in posts.items()
        if "409" not in operation["responses"]
        or "Idempotency-Key" not in [parameter["name"] for parameter in operation.get("parameters", [])]
    ]

    assert len(posts) > 5
    assert undeclared == []


async def test_requests_that_share_few_connections_do_not_get_in_each_others_way(acme: Tenant, api_url: str) -> None:
    limits = httpx.Limits(max_connections=32)
    headers = {"Authorization": f"Bearer {acme.api_key}"}
    async with httpx.AsyncClient(base_url=f"{api_url}/api/v1", limits=limits, headers=headers, trust_env=False) as http:
        asked = ("/projects", "/agents", "/projects?limit=1", "/executions") * 60
        answers = await asyncio.gather(*(http.get(path) for path in asked))

    assert Counter(answer.status_code for answer in answers) == {200: 240}
