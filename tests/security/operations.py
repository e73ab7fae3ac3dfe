"""The operations of the application's OpenAPI document, and the permission that each of them names."""

import re
from collections.abc import Container, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts

from control_plane.app import create_app
from control_plane.auth.permissions import Permission
from control_plane.settings import Settings
from tests.orchestrator import FakeOrchestrator
from tests.security import addressed

PREFIX = "/api/v1"
GATEWAY = f"{PREFIX}/prefect/api"
"""Below it is what Prefect's clients ask. It stands in no document of ours, and what one may do there decides Prefect's
own things, so `test_prefect_gateway` asks it about others with a real Prefect behind it. Here everybody tries it who
has no right to."""
MCP = f"{PREFIX}/environments/{{environment_id}}/mcp"
"""It speaks another protocol too, and `tests/control_plane/agent_tools` asks it with a client of that about others."""
RUN_HISTORY = "/run-history"
"""What people read of Prefect. `test_run_history` asks it with a real Prefect behind it, with rights and without."""
_STANDING_IN = {
    "name": "work_pool",
    "deployment_id": "agent_id",
    "flow_id": "agent_id",
    "flow_run_id": "execution_id",
    "path:path": "agent_name",
}
"""What of ours is put where the gateway expects something of Prefect's."""
_NAMED = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Form:
    """One way to ask an operation: a body or none, and a query. What stands in braces is still to be filled in."""

    body: Any
    query: dict[str, str]

    @property
    def names(self) -> frozenset[str]:
        """What has to be filled in."""
        return frozenset(_NAMED.findall(repr(self.body))) | frozenset(_NAMED.findall(repr(self.query)))


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation. `path` has no `/api/v1`; `permission` is None for what anybody may ask."""

    method: str
    path: str
    prefix: str
    permission: Permission | None
    success: int
    headers: frozenset[str]
    query: frozenset[str]
    reads_body: bool

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def route(self) -> addressed.Route:
        """As the tables of `addressed` name it."""
        return self.method, self.path

    @property
    def names(self) -> tuple[str, ...]:
        """The path parameters, from left to right."""
        return tuple(_NAMED.findall(self.path))

    @property
    def forms(self) -> list[Form]:
        """Every way to ask: each body, each filter by itself."""
        always = addressed.ALWAYS_SENT.get(self.route, {})
        bodies = [addressed.BODIES.get(self.route), *addressed.MORE_BODIES.get(self.route, [])]
        return [Form(body, always) for body in bodies] + [
            Form(None, {parameter: f"{{{addressed.FILTERS[self.path, parameter]}}}"})
            for parameter in sorted(self.query)
            if (self.path, parameter) in addressed.FILTERS
        ]

    def unmade(self, made: Container[str]) -> list[str]:
        """What it asks about that no tenant of the tests has, in sentences."""
        names = frozenset(self.names).union(*(form.names for form in self.forms))
        return [
            f"No tenant has a {name}, which {self} asks about: make several in tests/security/belongings.py."
            for name in sorted(names)
            if name not in made
        ]

    @property
    def missing(self) -> list[str]:
        """What `addressed` has yet to say about it."""
        return addressed.missing(
            self.method, self.path, reads_body=self.reads_body, query=set(self.query), headers=set(self.headers)
        )


def permissions_of(dependant: Dependant) -> set[Permission]:
    """The permissions that a route's signature names."""
    own: set[Any] = {getattr(dependant.call, "permission", None)} - {None}
    return own.union(*(permissions_of(below) for below in dependant.dependencies))


@cache
def named_permissions() -> dict[str, set[Permission]]:
    """Each route, as `GET /api/v1/path`, with the permissions it names."""
    return {
        f"{method} {route.path}": permissions_of(getattr(route, "dependant", None) or Dependant())
        for route in iter_route_contexts(_application().routes)
        for method in sorted(route.methods or {"ANY"})
    }


@cache
def operations() -> list[Operation]:
    """All of them, in the order of the document."""
    return list(_read())


@cache
def gateway_operations() -> list[Operation]:
    """Those of the gateway to Prefect, whose WebSockets are tried in `test_prefect_gateway`, and of agents as tools."""
    return [*_read_gateway()]


@cache
def _application() -> Any:
    settings = Settings.model_validate({"database_url": "postgresql://nobody@localhost/x", "secret_key": "x" * 32})
    return create_app(settings, orchestrator=FakeOrchestrator())


def _read() -> Iterator[Operation]:
    for path, methods in _application().openapi()["paths"].items():
        for method, described in methods.items():
            named = named_permissions()[f"{method.upper()} {path}"]
            parameters = described.get("parameters", [])
            yield Operation(
                method=method.upper(),
                path=path.removeprefix(PREFIX),
                prefix=PREFIX if path.startswith(PREFIX) else "",
                permission=next(iter(named), None),
                success=min(int(status) for status in described["responses"] if status.startswith("2")),
                headers=frozenset(one["name"].lower() for one in parameters if one["in"] == "header"),
                query=frozenset(one["name"] for one in parameters if one["in"] == "query"),
                reads_body="requestBody" in described,
            )


def _read_gateway() -> Iterator[Operation]:
    for route, named in named_permissions().items():
        method, path = route.split()
        if path.startswith((GATEWAY, MCP)) and method != "ANY":
            for expected, ours in _STANDING_IN.items():
                path = path.replace(f"{{{expected}}}", f"{{{ours}}}")
            yield Operation(
                method=method,
                path=path.removeprefix(PREFIX),
                prefix=PREFIX,
                permission=next(iter(named)),
                success=200,
                headers=frozenset(),
                query=frozenset(),
                reads_body=False,
            )
