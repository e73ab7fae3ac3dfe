"""The few pages of signing in: plain HTML that loads nothing and runs nothing."""

import base64
import hashlib
from collections.abc import Iterable
from html import escape
from typing import Final
from urllib.parse import urlencode, urlsplit

from fastapi.responses import HTMLResponse, RedirectResponse, Response

from control_plane.problems import Problem

_STYLE: Final = (
    ":root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}"
    "main{max-width:26rem;margin:12vh auto;padding:0 1rem}h1{font-size:1.4rem}"
    "ul{padding:0;list-style:none}li,button,input{margin:.5rem 0}"
    "a.way,button,input{display:block;box-sizing:border-box;width:100%;padding:.6rem .8rem;font:inherit;"
    "border:1px solid GrayText;border-radius:.4rem}a.way{color:inherit;text-decoration:none}"
    "a:focus-visible,button:focus-visible,input:focus-visible{outline:3px solid Highlight;outline-offset:2px}"
)
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; base-uri 'none';"
        " frame-ancestors 'none'"
    ),
    # Not no-referrer, with which browsers would send forms without their origin.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


def choose(issuers: Iterable[str], *, return_to: str) -> HTMLResponse:
    """The ways in: each provider, and an API key."""
    ways = "".join(
        f'<li><a class="way" href="sign-in?{escape(urlencode({"issuer": one, "return_to": return_to}))}">'
        f"Sign in with {escape(urlsplit(one).netloc)}</a></li>"
        for one in issuers
    )
    return _page(
        "Sign in",
        f"{f'<ul>{ways}</ul>' if ways else ''}"
        '<form method="post" action="sign-in">'
        f'<input type="hidden" name="return_to" value="{escape(return_to)}">'
        '<label for="key">API key</label>'
        '<input id="key" name="api_key" type="password" autocomplete="off" spellcheck="false" required>'
        "<button>Sign in with an API key</button></form>",
    )


def signed_in() -> HTMLResponse:
    """For who is signed in already."""
    return _page(
        "You are signed in",
        "<p>This browser is signed in to the control plane.</p>"
        '<form method="post" action="sign-out"><button>Sign out</button></form>',
    )


def refused(problem: Problem) -> HTMLResponse:
    """What went wrong, and how to go on."""
    page = _page(
        "You are not signed in",
        f'<p role="alert">{escape(problem.detail)}</p><p><a href="sign-in">Sign in again</a></p>',
        status=problem.status,
    )
    page.headers.update(problem.headers)
    return page


def redirect(url: str) -> Response:
    """On to another page, with a GET; the address of this one isn't passed on, as it may hold a code."""
    headers = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
    return RedirectResponse(url, status_code=303, headers=headers)


def _page(title: str, body: str, *, status: int = 200) -> HTMLResponse:
    content = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title} - Agent Control Plane</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head>'
        f"<body><main><h1>{title}</h1>{body}</main></body></html>"
    )
    return HTMLResponse(content, status_code=status, headers=_HEADERS)
