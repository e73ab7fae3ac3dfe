"""Which methods a path offers: `Allow`, for all routes there and not only for the first that comes near."""

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from fastapi.routing import iter_route_contexts

from control_plane.problems import Problem, render_problem


class MethodNotAllowed(Problem):
    """The path exists, but not with this method. `Allow` names those that it has."""

    status, code, title = 405, "method_not_allowed", "Method Not Allowed"

    def __init__(self, request: Request, methods: list[str]) -> None:
        super().__init__(
            f"{request.method} isn't offered at {request.url.path}, only {', '.join(methods)}."
            " The API is described at /api/docs.",
            headers={"Allow": ", ".join(methods)},
        )


def offered(request: Request) -> list[str]:
    """The methods that the request's path offers. A path that is spelled out hides one with a parameter there."""
    path = request.scope["path"]
    here = [
        context
        for context in iter_route_contexts(request.app.routes)
        if context.methods and context.path_regex.match(path)
    ]
    literal = [context for context in here if context.path == path]
    return sorted({method for context in literal or here for method in context.methods or ()})


def install(app: FastAPI) -> None:
    """Let `app` answer 405 with all that the path offers."""
    app.add_exception_handler(405, _render)


async def _render(request: Request, _: Exception) -> JSONResponse:
    return render_problem(request, MethodNotAllowed(request, offered(request)))
