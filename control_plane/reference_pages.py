"""Swagger UI and ReDoc at `/api/docs` and `/api/redoc`. Their scripts are served from here: no other host is asked.

The files are those of the package fastapi-offline. The pages need no more of it, and it has no place for the header
that holds a browser to that promise.
"""

import base64
import hashlib
import re
from importlib.resources import files

from fastapi import FastAPI, Request
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html
from fastapi.responses import HTMLResponse
from starlette.staticfiles import StaticFiles

_FILES = "/api/docs/files"
_INLINE = re.compile(r"<script>(.*?)</script>", re.DOTALL)


def install(app: FastAPI) -> None:
    """Let `app` show its own description to people."""
    app.mount(_FILES, StaticFiles(directory=str(files("fastapi_offline") / "static")))
    app.add_api_route("/api/docs", _swagger, include_in_schema=False)
    app.add_api_route("/api/redoc", _redoc, include_in_schema=False)


async def _swagger(request: Request) -> HTMLResponse:
    root = request.scope.get("root_path", "")
    page = get_swagger_ui_html(
        title=f"{request.app.title}: Swagger UI",
        openapi_url=root + request.app.openapi_url,
        swagger_js_url=f"{root}{_FILES}/swagger-ui-bundle.js",
        swagger_css_url=f"{root}{_FILES}/swagger-ui.css",
        swagger_favicon_url=f"{root}{_FILES}/favicon.png",
    )
    return _closed(page)


async def _redoc(request: Request) -> HTMLResponse:
    root = request.scope.get("root_path", "")
    page = get_redoc_html(
        title=f"{request.app.title}: ReDoc",
        openapi_url=root + request.app.openapi_url,
        redoc_js_url=f"{root}{_FILES}/redoc.standalone.js",
        redoc_favicon_url=f"{root}{_FILES}/favicon.png",
        with_google_fonts=False,
    )
    return _closed(page)


def _closed(page: HTMLResponse) -> HTMLResponse:
    # Swagger UI would send the API's address to validator.swagger.io, ReDoc would fetch a logo from cdn.redoc.ly.
    hashes = [hashlib.sha256(script.encode()).digest() for script in _INLINE.findall(bytes(page.body).decode())]
    allowed = "".join(f" 'sha256-{base64.b64encode(digest).decode()}'" for digest in hashes)
    page.headers["Content-Security-Policy"] = (
        f"default-src 'self'; script-src 'self'{allowed}; style-src 'self' 'unsafe-inline'; img-src 'self' data:;"
        " worker-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return page
