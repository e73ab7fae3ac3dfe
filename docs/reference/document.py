"""What the application says of itself: its operations, the permission of each, and what many have in common."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts

from control_plane.app import create_app
from control_plane.settings import Settings

_SHARED_BY = 10
"""A parameter that this many operations describe in the same words is described once, on the first page."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of the document."""

    method: str
    path: str
    permission: str | None
    described: dict[str, Any]

    @property
    def subject(self) -> str:
        """Which page it stands on."""
        return str(self.described["tags"][0])

    @property
    def title(self) -> str:
        """What people call it; the heading of its section."""
        return str(self.described["operationId"]).replace("_", " ").capitalize()

    @property
    def answers(self) -> dict[str, dict[str, Any]]:
        """By status, in order."""
        return dict(sorted(self.described["responses"].items()))

    @property
    def parameters(self) -> list[dict[str, Any]]:
        """In its path, query and headers."""
        return list(self.described.get("parameters", []))


@dataclass
class Reference:
    """The document, and what many of its operations have in common."""

    document: dict[str, Any]
    operations: list[Operation]
    parameters: dict[str, dict[str, Any]] = field(default_factory=dict)
    answers: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        parameters = Counter(json.dumps(one) for each in self.operations for one in each.parameters if _optional(one))
        answers = Counter((s, a["description"]) for each in self.operations for s, a in each.answers.items() if s > "3")
        often = len(self.operations) // 4
        self.parameters = {
            found["name"]: found
            for text, count in sorted(parameters.items())
            if count >= _SHARED_BY and (found := json.loads(text)).get("description")
        }
        self.answers = {status: text for (status, text), count in sorted(answers.items()) if count > often}

    @property
    def subjects(self) -> list[str]:
        """In the order in which people meet them: their own first, those of machines last."""
        found = sorted({operation.subject for operation in self.operations}, key=str.lower)
        return sorted(found, key=["worker protocol", "LLM gateway", "identity", "operations"].__contains__)

    def of(self, subject: str) -> list[Operation]:
        """The operations of one page, in the document's order."""
        return [operation for operation in self.operations if operation.subject == subject]


def _optional(parameter: dict[str, Any]) -> bool:
    return not parameter.get("required") and parameter["in"] != "path"


def reference() -> Reference:
    """What the application says of itself."""
    # Nothing is connected to: the description is the same whatever the settings.
    settings = Settings.model_validate({"database_url": "postgresql://nobody@localhost/none", "secret_key": "x" * 32})
    app = create_app(settings)
    document, permissions = app.openapi(), dict(_permissions(app))
    operations = [
        Operation(method.upper(), path, permissions[method.upper(), path], described)
        for path, methods in document["paths"].items()
        for method, described in methods.items()
    ]
    return Reference(document, operations)


def _permissions(app: FastAPI) -> Iterator[tuple[tuple[str, str], str | None]]:
    for route in iter_route_contexts(app.routes):
        named = _named(getattr(route, "dependant", None) or Dependant())
        for method in route.methods or ():
            yield (method, route.path or ""), named


def _named(dependant: Dependant) -> str | None:
    own = getattr(dependant.call, "permission", None)
    return own or next(filter(None, map(_named, dependant.dependencies)), None)
