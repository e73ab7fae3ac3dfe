"""`/run-history/`: Prefect's own pages, for whoever may read runs. They ask `/run-history/api` and nobody else."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute

from control_plane.auth.dependencies import MayReadRuns
from control_plane.auth.same_origin import is_own_path
from control_plane.auth.sign_in_pages import redirect
from control_plane.problems import NotFound, Unauthenticated
from control_plane.run_history.bundle import Bundle
from control_plane.run_history.router import PREFIX as API
from control_plane.settings import Settings
from deployments import prefect_ui

PREFIX: Final = "/run-history"

_POLICY: Final = (
    # Its graph of a run compiles functions for what it draws, hence unsafe-eval; its elements carry styles.
    "default-src 'none'; script-src 'self' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:;"
    " font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; manifest-src 'self'; base-uri 'none';"
    " form-action 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    "Content-Security-Policy": _POLICY,
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Vary": "Accept-Encoding, Cookie",
}


class Pages:
    """One instance serves a whole process. The files are read when somebody first asks for one."""

    def __init__(self) -> None:
        self._bundle: Bundle | None = None
        self._reading = asyncio.Lock()

    async def bundle(self, settings: Settings) -> Bundle:
        """The files as they are served here."""
        async with self._reading:
            if self._bundle is None:
                self._bundle = await asyncio.to_thread(
                    Bundle.read,
                    prefect_ui.files(),
                    placeholder=prefect_ui.PLACEHOLDER,
                    served_at=_public_path(settings) + PREFIX,
                )
            return self._bundle


class _PageRoute(APIRoute):
    """Sends a person who isn't signed in to where that is done, and from there back."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handled(request: Request) -> Response:
            try:
                return await handle(request)
            except Unauthenticated:
                if "text/html" not in request.headers.get("accept", ""):
                    raise
                settings: Settings = request.app.state.settings
                query = urlencode({"return_to": _way_back(request, settings)})
                return redirect(f"{_public_path(settings)}/auth/sign-in?{query}")

        return handled


router = APIRouter(prefix=PREFIX, route_class=_PageRoute, include_in_schema=False)


@router.get("")
async def enter(request: Request, _reader: MayReadRuns) -> Response:
    """The pages begin one level below."""
    return redirect(f"{_public_path(request.app.state.settings)}{PREFIX}/")


@router.get("/ui-settings")
async def ui_settings(request: Request, _reader: MayReadRuns) -> dict[str, Any]:
    """Where the pages find what they show: nowhere but here, signed in by the browser's cookie."""
    settings: Settings = request.app.state.settings
    return {
        "api_url": str(settings.public_url).rstrip("/") + API,
        "csrf_enabled": False,
        "auth": None,
        "flags": [],
        "default_ui": "v1",
        "available_uis": ["v1"],
        "v1_base_url": _public_path(settings) + PREFIX,
        "v2_base_url": None,
    }


@router.get("/{path:path}")
async def read_file(path: str, request: Request, _reader: MayReadRuns) -> Response:
    """A page, or a file that it needs."""
    pages: Pages = request.app.state.run_history_pages
    file = (await pages.bundle(request.app.state.settings)).get(path)
    if file is None:
        raise NotFound(f"There is no {path} here.")
    # Files below assets/ have a hash of what is in them in their names.
    kept = "private, max-age=86400" if path.startswith("assets/") else "no-cache"
    headers = _HEADERS | {"Cache-Control": kept}
    if file.compressed is not None and "gzip" in request.headers.get("accept-encoding", ""):
        return Response(file.compressed, media_type=file.media_type, headers=headers | {"Content-Encoding": "gzip"})
    return Response(file.content, media_type=file.media_type, headers=headers)


def _way_back(request: Request, settings: Settings) -> str:
    query = f"?{request.url.query}" if request.url.query else ""
    way = f"{_public_path(settings)}{request.url.path}{query}"
    return way if is_own_path(way) else f"{_public_path(settings)}{PREFIX}/"


def _public_path(settings: Settings) -> str:
    """The path below which a proxy shows this server; usually none."""
    return urlsplit(str(settings.public_url)).path.rstrip("/")
