"""The first organization of an embedded stack, made over the REST API as anybody would make it. Safe to repeat."""

from dataclasses import dataclass
from typing import Any

from control_plane.client import Refused
from control_plane.embedded.rest import Rest
from control_plane.embedded.stack import Stack

ORGANIZATION = {"name": "Demo", "slug": "demo"}
PROJECT = {"name": "Demo", "slug": "demo"}
ENVIRONMENT = {
    "name": "Development",
    "slug": "dev",
    "llm_override": {"provider": "scripted", "model": "assistant"},
}


@dataclass(frozen=True, slots=True)
class Tenant:
    """What people need to begin. `api_key` and `worker_key` are secrets."""

    api_key: str
    worker_key: str
    environment: dict[str, Any]


def ensure_tenant(stack: Stack) -> Tenant:
    """The demo organization with a project, an environment whose work pool exists, an API key and a worker key."""
    with stack.operator() as operator:
        organization = _ensure(operator, "/organizations", ORGANIZATION)
        api_key = stack.data.kept("api_key") or _issue(
            stack, operator, f"/organizations/{organization['id']}/api-keys", "api_key"
        )
    with Rest(stack.api_url, api_key) as rest:
        project = _ensure(rest, "/projects", PROJECT)
        environment = _ensure(rest, "/environments", ENVIRONMENT | {"project_id": project["id"]})
        worker_key = stack.data.kept("worker_key") or _issue(
            stack, rest, f"/environments/{environment['id']}/worker-keys", "worker_key"
        )
        return Tenant(api_key, worker_key, stack.wait_for_pool(rest, environment["id"]))


def _ensure(rest: Rest, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """The resource with the slug of `body`, created if it isn't there."""
    try:
        created: dict[str, Any] = rest.post(path, body)
    except Refused as refusal:
        if refusal.code != "already_exists":
            raise
        return next(found for found in rest.get(path, slug=body["slug"]) if found["slug"] == body["slug"])
    return created


def _issue(stack: Stack, rest: Rest, path: str, name: str) -> str:
    key: str = rest.post(path, {"name": "embedded stack"})["key"]
    return stack.data.keep(name, key)
