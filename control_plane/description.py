"""What the OpenAPI document says that no route can say alone: it follows from the paths and bodies of all of them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from fastapi import FastAPI

from control_plane.methods import MethodNotAllowed
from control_plane.problems import PROBLEM_TYPE, UnsupportedMediaType, problems

_OF_MACHINES = "/api/v1/worker/"
"""Operations that no credential of people opens: nothing leads there."""


def install(app: FastAPI) -> None:
    """Complete what `app` says about itself."""
    app.openapi = partial(_completed, app, app.openapi)  # type: ignore[method-assign] # how FastAPI documents it


def _completed(app: FastAPI, generate: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    if app.openapi_schema is None:
        document = generate()
        _declare_media_type(document["paths"])
        _declare_methods(document["paths"])
        _link(document["paths"], document["components"]["schemas"])
    return generate()


def _operations(paths: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    return ((path, operation) for path, methods in paths.items() for operation in methods.values())


def _declare_media_type(paths: dict[str, Any]) -> None:
    for _, operation in _operations(paths):
        described = operation["responses"].get("422", {}).get("content", {})
        if "requestBody" in operation and PROBLEM_TYPE in described:
            operation["responses"] |= {"415": problems(UnsupportedMediaType)[415]}


def _declare_methods(paths: dict[str, Any]) -> None:
    # `/policies/evaluate` is also a `/policies/{policy_id}`, whose other methods it doesn't have.
    for path, methods in paths.items():
        above, _, last = path.rpartition("/")
        beside = [other.rpartition("/")[2] for other in paths if other.rpartition("/")[0] == above]
        if last.startswith("{") and not all(other.startswith("{") for other in beside):
            for operation in methods.values():
                operation["responses"] |= {"405": problems(MethodNotAllowed)[405]}


@dataclass(frozen=True, slots=True)
class _Source:
    """An answer that shows a resource: where it stands in the body, and what of it is known from the path."""

    path: str
    operation_id: str
    response: dict[str, Any]
    schema: str
    pointer: str


def _link(paths: dict[str, Any], schemas: dict[str, Any]) -> None:
    """From each answer that creates or lists something to every operation on that."""
    named = _parameters_by_schema(paths)
    for source in _sources(paths):
        parameter = named.get(source.schema)
        if parameter is None:
            continue
        properties = schemas[source.schema]["properties"]
        for path, operation in _operations(paths):
            wanted = _parameters(path)
            values = {name: _value(name, source, properties, own=parameter) for name in wanted}
            if parameter in wanted and None not in values.values() and not path.startswith(_OF_MACHINES):
                links = source.response.setdefault("links", {})
                links[operation["operationId"]] = {"operationId": operation["operationId"], "parameters": values}


def _value(name: str, source: _Source, properties: dict[str, Any], *, own: str) -> str | None:
    if name != own and name in _parameters(source.path):
        return f"$request.path.{name}"
    if name in properties:
        return f"$response.body#{source.pointer}/{name}"
    return f"$response.body#{source.pointer}/id" if name == own else None


def _parameters_by_schema(paths: dict[str, Any]) -> dict[str, str]:
    """Which path parameter names what a schema shows: `/agents/{agent_id}` shows what `agent_id` names."""
    found = {}
    for path, methods in paths.items():
        above, _, last = path.rpartition("/")
        if not last.startswith("{"):
            continue
        shown = [paths.get(above, {}).get("post"), paths.get(above, {}).get("get"), methods.get("get")]
        for operation in shown:
            for _, schema, _ in _answers(operation or {"responses": {}}):
                found[schema] = last[1:-1]
    return found


def _sources(paths: dict[str, Any]) -> Iterator[_Source]:
    for path, operation in _operations(paths):
        for response, schema, pointer in _answers(operation):
            if pointer or response is operation["responses"].get("201"):
                yield _Source(path, operation["operationId"], response, schema, pointer)


def _answers(operation: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str, str]]:
    """The successful answers with a body that is a resource, or a list of resources."""
    for status in ("200", "201"):
        response = operation["responses"].get(status, {})
        schema = response.get("content", {}).get("application/json", {}).get("schema", {})
        if "$ref" in schema:
            yield response, schema["$ref"].rpartition("/")[2], ""
        elif "$ref" in schema.get("items", {}):
            yield response, schema["items"]["$ref"].rpartition("/")[2], "/0"


def _parameters(path: str) -> list[str]:
    return [part[1:-1] for part in path.split("/") if part.startswith("{")]
