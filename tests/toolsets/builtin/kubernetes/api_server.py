"""A small Kubernetes API server: what the toolset asks of one, with the answers of the real one.

Discovery in both forms, get, list with selectors, pages and tables, server-side apply with owners of fields, patches,
the subresources scale and log, delete with its options, and errors as Status objects.
"""

import copy
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

TOKEN = "token-of-a-service-account"
AGGREGATED = "g=apidiscovery.k8s.io"
TABLE = "as=Table"

Thing = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Kind:
    version: str
    kind: str
    plural: str
    short: tuple[str, ...] = ()
    namespaced: bool = True
    scalable: bool = False
    tables: bool = True
    columns: tuple[tuple[str, str, int], ...] = ()
    """Name, path of the value and priority, beside the name."""


KINDS = (
    Kind("v1", "Namespace", "namespaces", ("ns",), namespaced=False),
    Kind("v1", "Node", "nodes", ("no",), namespaced=False),
    Kind("v1", "Pod", "pods", ("po",), columns=(("Status", "status.phase", 0), ("Node", "spec.nodeName", 1))),
    Kind("v1", "ConfigMap", "configmaps", ("cm",)),
    Kind("v1", "Secret", "secrets", columns=(("Type", "type", 0),)),
    Kind("v1", "Event", "events", ("ev",)),
    Kind(
        "apps/v1",
        "Deployment",
        "deployments",
        ("deploy",),
        scalable=True,
        columns=(("Up-to-date", "status.updatedReplicas", 0), ("Available", "status.availableReplicas", 0)),
    ),
    Kind("apps/v1", "ReplicaSet", "replicasets", ("rs",), scalable=True),
    Kind("apps/v1", "StatefulSet", "statefulsets", ("sts",), scalable=True),
    Kind("apps/v1", "DaemonSet", "daemonsets", ("ds",)),
    Kind("shop.example.com/v1", "Basket", "baskets", ("bk",)),
    Kind("metrics.example.com/v1", "Usage", "usages", tables=False),
)
_BY_PATH = {(kind.version, kind.plural): kind for kind in KINDS}
_VERSIONS = list(dict.fromkeys(kind.version for kind in KINDS))
_THINGS = re.compile(
    r"/(?:api/(?P<core>v1)|apis/(?P<version>[^/]+/[^/]+))(?:/namespaces/(?P<namespace>[^/]+)(?=/))?"
    r"/(?P<plural>[^/]+)(?:/(?P<name>[^/]+))?(?:/(?P<subresource>[^/]+))?"
)


class Refused(Exception):
    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.code, self.reason = code, reason


@dataclass
class ApiServer:
    """An ASGI application. `things` is what is in the cluster, `failures` are answers given before the next ones."""

    things: dict[tuple[str, str, str, str], Thing] = field(default_factory=dict)
    logs: dict[tuple[str, str], str] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)
    failures: list[Response] = field(default_factory=list)
    owners: dict[tuple[str, str, str, str], dict[str, dict[str, Any]]] = field(default_factory=dict)
    """Which field manager set which field to what."""
    versions: int = 100

    def add(self, thing: Thing, *, namespace: str = "") -> Thing:
        """Put something into the cluster as if somebody had made it with `kubectl create`."""
        kind = next(kind for kind in KINDS if (kind.version, kind.kind) == (thing["apiVersion"], thing["kind"]))
        made = copy.deepcopy(thing)
        metadata = made["metadata"]
        if kind.namespaced:
            metadata["namespace"] = namespace
        return self._stored(kind, made, manager="kubectl-create", owned=_leaves({**made, "metadata": {}}))

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        self.requests.append((request.method, f"{request.url.path}?{request.url.query}".rstrip("?")))
        try:
            response = self.failures.pop(0) if self.failures else await self._answer(request)
        except Refused as refusal:
            response = status(refusal.code, refusal.reason, str(refusal))
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:  # noqa: C901, PLR0911 - a table of paths
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            raise Refused(401, "Unauthorized", "Unauthorized")
        path = request.url.path
        if path in ("/api", "/apis"):
            return _discovery(request)
        if path == "/version":
            return JSONResponse({"major": "1", "minor": "34", "gitVersion": "v1.34.0"})
        version = path.removeprefix("/apis/").removeprefix("/api/")
        if version in _VERSIONS:
            return JSONResponse(_resources(version))
        found = _THINGS.fullmatch(path)
        kind = found and _BY_PATH.get((found["core"] or found["version"], found["plural"]))
        if not found or not kind:
            raise Refused(404, "NotFound", "the server could not find the requested resource")
        namespace, name = found["namespace"] or "", found["name"]
        if name is None:
            return self._listed(request, kind, namespace)
        key = (kind.version, kind.plural, namespace, name)
        if found["subresource"] == "log":
            return self._log(request, key)
        if found["subresource"] == "scale":
            return await self._scaled(request, key)
        match request.method:
            case "GET":
                return JSONResponse(self._get(key))
            case "PATCH":
                return await self._patched(request, kind, key)
            case "DELETE":
                return await self._deleted(request, key)
        raise Refused(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")

    def _get(self, key: tuple[str, str, str, str]) -> Thing:
        if key not in self.things:
            version, plural, _, name = key
            group = version.rpartition("/")[0]
            raise Refused(404, "NotFound", f'{plural}{"." if group else ""}{group} "{name}" not found')
        return self.things[key]

    def _listed(self, request: Request, kind: Kind, namespace: str) -> Response:
        query = request.query_params
        found = [
            thing
            for (version, plural, place, _), thing in sorted(self.things.items())
            if (version, plural) == (kind.version, kind.plural) and namespace in ("", place)
            if all(_labelled(thing, term) for term in _terms(query.get("labelSelector")))
            if all(_fielded(thing, term) for term in _terms(query.get("fieldSelector")))
        ]
        start = int(query.get("continue", 0))
        end = start + int(query.get("limit", 500))
        metadata: Thing = {"resourceVersion": str(self.versions)}
        if end < len(found):
            metadata |= {"continue": str(end), "remainingItemCount": len(found) - end}
        if TABLE in request.headers.get("accept", "") and kind.tables:
            return JSONResponse(_table(kind, found[start:end], metadata))
        return JSONResponse(
            {"kind": f"{kind.kind}List", "apiVersion": kind.version, "metadata": metadata, "items": found[start:end]}
        )

    def _log(self, request: Request, key: tuple[str, str, str, str]) -> Response:
        self._get(key)
        lines = self.logs.get(key[2:], "").splitlines(keepends=True)
        text = "".join(lines[-int(request.query_params["tailLines"]) :])
        return PlainTextResponse(text[: int(request.query_params["limitBytes"])])

    async def _scaled(self, request: Request, key: tuple[str, str, str, str]) -> Response:
        thing = self._get(key)
        if request.headers["content-type"] != "application/merge-patch+json":
            raise Refused(415, "UnsupportedMediaType", "the body of the request was in an unknown format")
        thing["spec"]["replicas"] = (await request.json())["spec"]["replicas"]
        self._touch(thing)
        return JSONResponse(
            {"kind": "Scale", "apiVersion": "autoscaling/v1", "spec": {"replicas": thing["spec"]["replicas"]}}
        )

    async def _patched(self, request: Request, kind: Kind, key: tuple[str, str, str, str]) -> Response:
        body = await request.json()
        match request.headers["content-type"]:
            case "application/apply-patch+yaml":
                return self._applied(request, kind, key, body)
            case "application/merge-patch+json":
                thing = self._get(key)
                _merge(thing, body)
            case "application/json-patch+json":
                thing = self._get(key)
                _operate(thing, body)
            case _:
                raise Refused(415, "UnsupportedMediaType", "the body of the request was in an unknown format")
        self._touch(thing)
        return JSONResponse(thing)

    def _applied(self, request: Request, kind: Kind, key: tuple[str, str, str, str], body: Thing) -> Response:
        query = request.query_params
        manager = query["fieldManager"]
        if body["metadata"]["name"] != key[3] or body["metadata"].get("namespace", "") != key[2]:
            raise Refused(400, "BadRequest", "the name of the object does not match the name on the URL")
        if "managedFields" in body["metadata"]:
            raise Refused(400, "BadRequest", "metadata.managedFields must be nil")
        if unknown := body.keys() - {"apiVersion", "kind", "metadata", "spec", "data", "stringData", "type"}:
            raise Refused(400, "BadRequest", f'strict decoding error: unknown field "{unknown.pop()}"')
        wanted = _leaves({**body, "metadata": {}})
        before = self.things.get(key)
        owners = self.owners.get(key, {})
        conflicts = [
            (other, path)
            for other, owned in owners.items()
            for path in owned
            if other != manager and path in wanted and wanted[path] != owned[path]
        ]
        if conflicts and query.get("force") != "true":
            told = "\n".join(f'conflict with "{other}" using {kind.version}: {path}' for other, path in conflicts)
            raise Refused(409, "Conflict", f"Apply failed with {len(conflicts)} conflict: {told}")
        thing = copy.deepcopy(before) if before else {}
        _merge(thing, body)
        if query.get("dryRun") == "All":
            return JSONResponse(thing)
        for other, path in conflicts:
            del owners[other][path]
        self._stored(kind, thing, manager=manager, owned=wanted)
        return JSONResponse(self.things[key], status_code=200 if before else 201)

    async def _deleted(self, request: Request, key: tuple[str, str, str, str]) -> Response:
        thing = self._get(key)
        body = await request.json()
        if not body.get("dryRun"):
            del self.things[key]
        return JSONResponse(thing if body.get("propagationPolicy") else {"kind": "Status", "status": "Success"})

    def _stored(self, kind: Kind, thing: Thing, *, manager: str, owned: dict[str, Any]) -> Thing:
        metadata = thing["metadata"]
        key = (kind.version, kind.plural, metadata.get("namespace", ""), metadata["name"])
        owners = self.owners.setdefault(key, {})
        owners[manager] = owned
        metadata["managedFields"] = [{"manager": name, "operation": "Apply", "fieldsV1": {}} for name in owners]
        metadata.setdefault("uid", str(uuid4()))
        metadata.setdefault("creationTimestamp", "2026-11-24T10:00:00Z")
        self.things[key] = thing
        self._touch(thing)
        return thing

    def _touch(self, thing: Thing) -> None:
        self.versions += 1
        metadata = thing["metadata"]
        metadata["resourceVersion"] = str(self.versions)
        metadata["generation"] = metadata.get("generation", 0) + 1


def status(code: int, reason: str, message: str, **headers: str) -> Response:
    """A failure as the API server tells it."""
    return JSONResponse(
        {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": message,
            "reason": reason,
            "code": code,
        },
        status_code=code,
        headers=headers,
    )


def _discovery(request: Request) -> Response:
    core = request.url.path == "/api"
    versions = [version for version in _VERSIONS if ("/" not in version) == core]
    if AGGREGATED in request.headers.get("accept", ""):
        items = [
            {
                "metadata": {"name": version.rpartition("/")[0]} if "/" in version else {},
                "versions": [{"version": version.rpartition("/")[2], "resources": _aggregated(version)}],
            }
            for version in versions
        ]
        return JSONResponse(
            {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "items": items},
            media_type="application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
        )
    if core:
        return JSONResponse({"kind": "APIVersions", "versions": versions})
    groups = [
        {
            "name": version.partition("/")[0],
            "versions": [{"groupVersion": version, "version": version.partition("/")[2]}],
            "preferredVersion": {"groupVersion": version, "version": version.partition("/")[2]},
        }
        for version in versions
    ]
    return JSONResponse({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})


def _aggregated(version: str) -> list[Thing]:
    return [
        {
            "resource": kind.plural,
            "responseKind": {"group": version.rpartition("/")[0], "version": "", "kind": kind.kind},
            "scope": "Namespaced" if kind.namespaced else "Cluster",
            "singularResource": kind.kind.lower(),
            "verbs": ["get", "list", "patch", "delete"],
            "shortNames": list(kind.short),
        }
        for kind in KINDS
        if kind.version == version
    ]


def _resources(version: str) -> Thing:
    def described() -> Iterator[Thing]:
        for kind in KINDS:
            if kind.version != version:
                continue
            about = {"namespaced": kind.namespaced, "singularName": kind.kind.lower(), "verbs": ["get"]}
            yield {"name": kind.plural, "kind": kind.kind, "shortNames": list(kind.short), **about}
            if kind.scalable:
                yield {"name": f"{kind.plural}/scale", "kind": "Scale", **about}

    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": [*described()]}


def _table(kind: Kind, things: list[Thing], metadata: Thing) -> Thing:
    columns = (("Name", "metadata.name", 0), *kind.columns, ("Age", "metadata.creationTimestamp", 0))
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": [{"name": name, "type": "string", "priority": priority} for name, _, priority in columns],
        "rows": [
            {
                "cells": [_at(thing, path) for _, path, _ in columns],
                "object": {"kind": "PartialObjectMetadata", "metadata": thing["metadata"]},
            }
            for thing in things
        ],
    }


def _at(thing: Any, path: str) -> Any:
    for part in path.split("."):
        thing = thing.get(part) if isinstance(thing, dict) else None
    return thing


def _terms(selector: str | None) -> list[tuple[str, str]]:
    return (
        [(name, value) for name, _, value in (term.partition("=") for term in selector.split(","))] if selector else []
    )


def _labelled(thing: Thing, term: tuple[str, str]) -> bool:
    return (thing["metadata"].get("labels") or {}).get(term[0]) == term[1]


def _fielded(thing: Thing, term: tuple[str, str]) -> bool:
    return str(_at(thing, term[0])) == term[1]


def _leaves(value: Any, path: str = "") -> dict[str, Any]:
    if isinstance(value, dict):
        return {name: leaf for key in value for name, leaf in _leaves(value[key], f"{path}.{key}").items()}
    return {path: value} if path not in (".apiVersion", ".kind") else {}


def _merge(target: Thing, change: Thing) -> None:
    for name, value in change.items():
        if value is None:
            target.pop(name, None)
        elif isinstance(value, dict):
            if not isinstance(target.get(name), dict):
                target[name] = {}
            _merge(target[name], value)
        else:
            target[name] = value


def _operate(thing: Thing, operations: list[Thing]) -> None:
    for operation in operations:
        *parents, last = operation["path"].strip("/").split("/")
        place: Any = thing
        for part in parents:
            place = place[part]
        if operation["op"] == "test" and json.dumps(place.get(last)) != json.dumps(operation["value"]):
            raise Refused(422, "Invalid", "the server rejected our request due to an error in our request")
        if operation["op"] == "replace":
            place[last] = operation["value"]
