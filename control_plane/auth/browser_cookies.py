"""The two cookies: of a browser's session, and of a sign-in that is under way.

Neither can be read by scripts. Where the server is reached by https their names begin with `__Host-`, by which a
browser promises that no other host, not even a subdomain, has set them.
"""

from dataclasses import dataclass
from datetime import timedelta

from fastapi import Request, Response

SESSION = "control_plane_session"
_SIGN_IN = "control_plane_sign_in"
_OWN_HOST = "__Host-"


@dataclass(frozen=True, slots=True)
class Presented:
    """What a browser sent."""

    session: str | None
    sign_in: str | None


def of(request: Request) -> Presented:
    """The cookies of a request, under the names that count at this server."""
    if not request.cookies:
        return Presented(None, None)
    prefix = _prefix(request)
    return Presented(request.cookies.get(prefix + SESSION), request.cookies.get(prefix + _SIGN_IN))


def keep_session(request: Request, response: Response, token: str, *, lifetime: timedelta) -> None:
    """Let the browser send the session's token from now on."""
    _set(request, response, SESSION, token, lifetime)


def keep_sign_in(request: Request, response: Response, sealed: str, *, lifetime: timedelta) -> None:
    """Let the browser bring the sign-in back that it goes to the provider with."""
    _set(request, response, _SIGN_IN, sealed, lifetime)


def forget_session(request: Request, response: Response) -> None:
    """Let the browser forget the session."""
    _set(request, response, SESSION, "", timedelta())


def forget_sign_in(request: Request, response: Response) -> None:
    """Let the browser forget the sign-in under way."""
    _set(request, response, _SIGN_IN, "", timedelta())


def _set(request: Request, response: Response, name: str, value: str, lifetime: timedelta) -> None:
    prefix = _prefix(request)
    response.set_cookie(
        prefix + name,
        value,
        max_age=int(lifetime.total_seconds()),
        path="/",
        secure=bool(prefix),
        httponly=True,
        # A provider sends the browser back with a link, which Lax lets through and Strict would not.
        samesite="lax",
    )


def _prefix(request: Request) -> str:
    return _OWN_HOST if request.app.state.settings.public_url.scheme == "https" else ""
