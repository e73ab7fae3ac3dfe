"""What is of our own origin: requests that change something, and the places where people go after signing in."""

import re
from typing import Final
from urllib.parse import urlsplit

from fastapi import Request

from control_plane.problems import Forbidden

_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_MOST_CHARACTERS: Final = 1000
_PATH: Final = re.compile(r"/(?!/)[!-\[\]-~]*")
"""ASCII without blanks and backslashes: browsers take a backslash for a slash, and leave out tabs and line ends."""


def require_same_origin(request: Request) -> None:
    """Raise `Forbidden` for a change unless a page of this server asks for it.

    A browser adds its cookie to whatever any page has it send; which page that was, scripts can't make up.
    """
    if request.method in _SAFE:
        return
    site = request.headers.get("sec-fetch-site")
    if site == "same-origin" or (site is None and request.headers.get("origin") == own_origin(request)):
        return
    raise Forbidden(
        f"With a session cookie, changes are accepted only from pages of {own_origin(request)}: the request says so in"
        " Sec-Fetch-Site or Origin. Programs send an API key instead: `Authorization: Bearer <key>`."
    )


def own_origin(request: Request) -> str:
    """Scheme, host and port under which browsers know this server."""
    parts = urlsplit(str(request.app.state.settings.public_url))
    return f"{parts.scheme}://{parts.netloc}"


def is_own_path(path: str) -> bool:
    """Whether a browser that is sent there stays on this server."""
    return len(path) <= _MOST_CHARACTERS and _PATH.fullmatch(path) is not None
