"""Signing a browser in and out. These routes answer people, so what goes wrong is a page and not a problem document."""

import hmac
import logging
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any, Final, NoReturn
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute

from control_plane.auth import browser_cookies, browser_sessions, sign_in_pages
from control_plane.auth.browser_sessions import Holder
from control_plane.auth.credentials import PREFIXES, Authenticator
from control_plane.auth.oidc import Identity
from control_plane.auth.oidc_code_flow import CodeFlow, Secrets, SignInFailed
from control_plane.auth.principals import Kind
from control_plane.auth.same_origin import is_own_path, require_same_origin
from control_plane.auth.sign_in_transactions import LIFETIME, Seal, Transaction
from control_plane.problems import Forbidden, Problem, Unauthenticated

logger = logging.getLogger(__name__)

HOME: Final = "/auth/sign-in"
"""Where people go who came from nowhere."""

_MOST_FORM_BYTES: Final = 8192


class _PageRoute(APIRoute):
    """Shows a problem as a page, and tells the server's log. Whatever sign-in was under way is over then."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handled(request: Request) -> Response:
            try:
                return await handle(request)
            except Problem as raised:
                problem = raised
            logger.warning(
                "%s %s from %s refused: %s Request %s",
                request.method,
                self.path,
                request.client.host if request.client else "nowhere",
                problem.detail,  # never what was sent
                request.scope["request_id"],
            )
            if isinstance(problem, Unauthenticated):
                # 401 would be about this request's credential; here it is the provider's word that doesn't count.
                problem = Forbidden(problem.detail)
            page = sign_in_pages.refused(problem)
            browser_cookies.forget_sign_in(request, page)
            return page

        return handled


router = APIRouter(prefix="/auth", route_class=_PageRoute, include_in_schema=False)


@router.get("/sign-in")
async def begin_sign_in(request: Request, issuer: str = "", return_to: str = HOME) -> Response:
    """Go to a provider, or see which there are."""
    _require_own_path(return_to)
    if issuer:
        return await _go_to(request, _code_flow(request, issuer), return_to)
    token = browser_cookies.of(request).session
    state = request.app.state
    if token and await browser_sessions.find(state.database, state.hasher(token)) is not None:
        return sign_in_pages.signed_in()
    return sign_in_pages.choose(_authenticator(request).sign_in.code_flows, return_to=return_to)


@router.get("/callback")
async def finish_sign_in(
    request: Request, state: str = "", code: str = "", error: str = "", iss: str | None = None
) -> Response:
    """Where a provider sends the browser back to."""
    transaction = _transaction(request, state)
    flow = _code_flow(request, transaction.issuer)
    flow.check_sender(iss)
    if error == "access_denied":
        raise Forbidden("The provider says that access was denied: by you, or by whoever runs it.")
    if error or not code:
        _fail("The provider sent you back without signing you in. If it goes on, tell who runs this server.")
    identity = await flow.finish(code, transaction.secrets, redirect_uri=_redirect_uri(request))
    return await _signed_in(request, _holder(request, identity, transaction), return_to=transaction.return_to)


@router.post("/sign-in")
async def sign_in_with_key(request: Request) -> Response:
    """Sign in without a provider, with an API key that somebody types in."""
    require_same_origin(request)
    form = await _form(request)
    return_to = form.get("return_to", HOME)
    _require_own_path(return_to)
    key = form.get("api_key", "").strip()
    # Keys of workers and the operator's open no page, so they aren't even looked up.
    if not key.startswith(PREFIXES[Kind.API_KEY]) or await _authenticator(request).recognise(key) is None:
        raise Forbidden("This is no API key that counts. It may have expired or been revoked.")
    return await _signed_in(request, Holder(request.app.state.hasher(key)), return_to=return_to)


@router.post("/sign-out")
async def sign_out(request: Request) -> Response:
    """End the browser's session, at once and everywhere. Repeating it is harmless."""
    require_same_origin(request)
    state = request.app.state
    token = browser_cookies.of(request).session
    holder = await browser_sessions.find(state.database, state.hasher(token)) if token else None
    if token and holder:
        principals = await _authenticator(request).principals_of(holder)
        async with state.database.tenant(None) as session:
            if await browser_sessions.end(session, state.hasher(token)):
                # The audit log is a subject above this one, so the application hands it in.
                await state.record_presence(
                    request, session, principals=principals, action="auth:sign-out", provider=_provider(holder)
                )
    response = sign_in_pages.redirect("sign-in")
    browser_cookies.forget_session(request, response)
    return response


async def _go_to(request: Request, flow: CodeFlow, return_to: str) -> Response:
    transaction = Transaction(flow.issuer, return_to, Secrets.new())
    url = await flow.begin(transaction.secrets, redirect_uri=_redirect_uri(request))
    response = sign_in_pages.redirect(url)
    sealed = Seal(request.app.state.hasher).close(transaction)
    browser_cookies.keep_sign_in(request, response, sealed, lifetime=LIFETIME)
    return response


def _transaction(request: Request, state: str) -> Transaction:
    sealed = browser_cookies.of(request).sign_in
    transaction = Seal(request.app.state.hasher).open(sealed) if sealed else None
    if transaction is None:
        _fail(
            "This browser has no sign-in under way. It may have taken longer than 10 minutes, or the browser may refuse"
            " cookies."
        )
    if not hmac.compare_digest(transaction.secrets.state.encode(), state.encode()):
        _fail("This answer belongs to another sign-in than the one that this browser began last.")
    return transaction


def _holder(request: Request, identity: Identity, transaction: Transaction) -> Holder:
    return Holder(identity, sign_in_hash=request.app.state.hasher(f"sign-in {transaction.secrets.state}"))


async def _signed_in(request: Request, holder: Holder, *, return_to: str) -> Response:
    state = request.app.state
    lifetime: timedelta = state.settings.browser_session_lifetime
    before = browser_cookies.of(request).session
    principals = await _authenticator(request).principals_of(holder.of)
    async with state.database.tenant(None) as session:
        token = await browser_sessions.start(session, state.hasher, holder, lifetime=lifetime)
        if before:
            await browser_sessions.end(session, state.hasher(before))
        await state.record_presence(
            request, session, principals=principals, action="auth:sign-in", provider=_provider(holder.of)
        )
    response = sign_in_pages.redirect(return_to)
    browser_cookies.forget_sign_in(request, response)
    browser_cookies.keep_session(request, response, token, lifetime=lifetime)
    return response


def _provider(holder: Identity | bytes) -> str | None:
    return holder.issuer if isinstance(holder, Identity) else None


async def _form(request: Request) -> dict[str, str]:
    body = await request.body()
    try:
        return dict(parse_qsl(body.decode("ascii"), max_num_fields=10)) if len(body) <= _MOST_FORM_BYTES else {}
    except ValueError:
        return {}


def _authenticator(request: Request) -> Authenticator:
    authenticator: Authenticator = request.app.state.authenticator
    return authenticator


def _code_flow(request: Request, issuer: str) -> CodeFlow:
    flow = _authenticator(request).sign_in.code_flows.get(issuer)
    if flow is None:
        _fail("This server signs nobody in with that provider.")
    return flow


def _redirect_uri(request: Request) -> str:
    return f"{str(request.app.state.settings.public_url).rstrip('/')}/auth/callback"


def _require_own_path(return_to: str) -> None:
    if not is_own_path(return_to):
        _fail("The address to return to must be a path on this server, such as /executions.")


def _fail(reason: str) -> NoReturn:
    raise SignInFailed(reason)
