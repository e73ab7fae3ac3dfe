"""The first organization of an embedded stack, made over the REST API as anybody would make it. Safe to repeat."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from control_plane.client import Refused
from control_plane.embedded.stack import Stack
from control_plane.rest import Rest

ORGANIZATION = {"name": "Demo", "slug": "demo"}
PROJECT = {"name": "Demo", "slug": "demo"}
ENVIRONMENT: dict[str, Any] = {
    "name": "Development",
    "slug": "dev",
    "llm_override": {"provider": "scripted", "model": "assistant"},
}


AGENT: dict[str, Any] = {
    "name": "assistant",
    "description": "Tells the time and keeps files, and may delete nothing.",
    "instructions": "Do what you are asked with the tools you have, step by step.",
    "llm_config": {"provider": "scripted", "model": "assistant"},
    "toolsets": ["clock", "files"],
    "policies": ["no_destructive_tools"],
}


@dataclass(frozen=True, slots=True)
class Tenant:
    """What people need to begin. `api_key` and `worker_key` are secrets."""

    api_key: str
    worker_key: str
    environment: dict[str, Any]


def ensure_tenant(stack: Stack) -> Tenant:
    """The demo organization with a project, an environment whose work pool exists, an API key and a worker key."""
    with stack.timed("organization demo"), stack.operator() as operator:
        organization = ensure(operator, "/organizations", ORGANIZATION, by=("slug",))
        # Keys that were kept belong to the database they were made in.
        fresh = stack.data.kept("organization_id") != organization["id"]
        api_key = _key(stack, operator, f"/organizations/{organization['id']}/bootstrap", "api_key", fresh=fresh)
    with Rest(stack.api_url, api_key) as rest:
        with stack.timed("project demo"):
            project = ensure(rest, "/projects", PROJECT, by=("slug",))
        with stack.timed("environment dev with its work pool"):
            environment = ensure(rest, "/environments", ENVIRONMENT | {"project_id": project["id"]}, by=("slug",))
            worker_key = _key(stack, rest, f"/environments/{environment['id']}/worker-keys", "worker_key", fresh=fresh)
            stack.data.keep("organization_id", organization["id"])
            return Tenant(api_key, worker_key, stack.wait_for_pool(rest, environment["id"]))


def ensure(rest: Rest, path: str, body: dict[str, Any], *, by: Sequence[str]) -> dict[str, Any]:
    """What `body` describes: created, or the one that has the same values under the names in `by` already."""
    try:
        created: dict[str, Any] = rest.post(path, body)
    except Refused as refusal:
        if refusal.code != "already_exists":
            raise
        return next(
            found
            for found in rest.get(path, **{name: body[name] for name in by})
            if all(found[name] == body[name] for name in by)
        )
    return created


def _key(stack: Stack, rest: Rest, path: str, name: str, *, fresh: bool) -> str:
    kept = None if fresh else stack.data.kept(name)
    if kept:
        return kept
    # If we are cut off before the key is kept, the same request gets the same answer again.
    idempotency_key = stack.data.secret(f"idempotency of {path}")
    issued = rest.post(path, {"name": "embedded stack"}, idempotency_key=idempotency_key)
    return stack.data.keep(name, issued["key"])
