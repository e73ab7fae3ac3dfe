"""The routes with an id in their path, read from the application, and what it takes to ask each of them."""

from typing import Any

import httpx

from control_plane.app import create_app
from control_plane.settings import Settings
from tests.orchestrator import FakeOrchestrator
from tests.tenants import JOINING, Tenant, created
from tests.worker import message

MODULE = 'package own\n\nimport rego.v1\n\ndeny contains "no" if false\n'
BODIES: dict[tuple[str, str], Any] = {
    ("POST", "/organizations/{organization_id}/roles"): {"name": "mine", "permissions": ["agents:read"]},
    ("PATCH", "/organizations/{organization_id}/roles/{role_id}"): {"description": "mine now"},
    ("POST", "/organizations/{organization_id}/members"): {
        "name": "Me",
        "email": "me@example.com",
        "grants": [{"role": "viewer"}],
    },
    ("PATCH", "/organizations/{organization_id}/members/{member_id}"): {"name": "Mine now"},
    ("POST", "/organizations/{organization_id}/service-accounts"): {"name": "mine now"},
    ("PATCH", "/organizations/{organization_id}/service-accounts/{service_account_id}"): {"name": "mine now"},
    ("POST", "/organizations/{organization_id}/api-keys"): {"name": "mine now", "role": "viewer"},
    ("POST", "/organizations/{organization_id}/api-keys/{api_key_id}/rotate"): {},
    ("POST", "/organizations/{organization_id}/bootstrap"): {"name": "mine now"},
    ("PUT", "/secrets/{name}"): {"value": "mine now"},
    ("POST", "/environments/{environment_id}/worker-keys"): {"name": "mine now"},
    ("POST", "/environments/{environment_id}/worker-keys/{worker_key_id}/rotate"): {},
    ("PATCH", "/organizations/{organization_id}"): {"name": "Mine now"},
    ("PATCH", "/projects/{project_id}"): {"name": "Mine now"},
    ("PATCH", "/environments/{environment_id}"): {"name": "Mine now"},
    ("POST", "/environments/{environment_id}/worker-queues"): {"name": "mine-now"},
    ("PATCH", "/worker-queues/{queue_id}"): {"paused": True},
    ("POST", "/worker-queues/{queue_id}/start"): JOINING,
    ("POST", "/work-pools/{work_pool}/start"): JOINING,
    ("POST", "/environments/{environment_id}/join-tokens"): {"name": "mine now"},
    ("PATCH", "/policies/{policy_id}"): {"description": "mine now"},
    ("PUT", "/policies/{policy_id}"): {"name": "own", "module": MODULE},
    ("POST", "/policies/{policy_id}/validate"): {"module": MODULE},
    ("PATCH", "/agents/{agent_id}"): {"description": "mine now"},
    ("POST", "/agents/{agent_id}/rollback"): {"version": 1},
    ("POST", "/agents/{agent_id}/execute"): {"prompt": "mine now"},
    ("POST", "/worker/executions/{execution_id}/claim"): {"worker": "mine now"},
    ("POST", "/worker/executions/{execution_id}/events"): {"fence": 1, "events": [message(1)]},
    ("POST", "/worker/executions/{execution_id}/lease"): {"fence": 1},
    ("POST", "/worker/executions/{execution_id}/finish"): {"fence": 1, "status": "completed"},
}


def _routes() -> list[tuple[str, str]]:
    settings = Settings.model_validate({"database_url": "postgresql://nobody@localhost/x", "secret_key": "x" * 32})
    paths = create_app(settings, orchestrator=FakeOrchestrator()).openapi()["paths"]
    return [
        (method.upper(), path.removeprefix("/api/v1"))
        for path, methods in paths.items()
        for method in methods
        if "{" in path
    ]


ROUTES = _routes()
OF_PEOPLE = [route for route in ROUTES if not route[1].startswith("/worker/") and not route[1].endswith("/bootstrap")]
OF_TOKENS = [route for route in ROUTES if route[1].startswith("/worker/") and not route[1].endswith("/claim")]


async def belongings(tenant: Tenant) -> dict[str, str]:
    """One of each thing that an organization can have, by the name of the path parameter that names it."""
    organization = f"/organizations/{tenant.organization['id']}"
    environment = f"/environments/{tenant.environment['id']}"
    http = tenant.client
    await created(http, "/secrets", {"name": "weather", "value": "x", "environment_id": tenant.environment["id"]})
    policy = await created(http, "/policies", {"name": "own", "module": MODULE})
    return {
        "organization_id": tenant.organization["id"],
        "role_id": (await created(http, f"{organization}/roles", {"name": "own", "permissions": ["agents:read"]}))[
            "id"
        ],
        "member_id": (
            await created(
                http, f"{organization}/members", {"name": "Ada", "email": "a@b.c", "grants": [{"role": "viewer"}]}
            )
        )["id"],
        "service_account_id": (await created(http, f"{organization}/service-accounts", {"name": "ci"}))["id"],
        "api_key_id": (await created(http, f"{organization}/api-keys", {"name": "ci", "role": "viewer"}))["id"],
        "name": "weather",
        "project_id": tenant.project["id"],
        "environment_id": tenant.environment["id"],
        "queue_id": (await created(http, f"{environment}/worker-queues", {"name": "urgent"}))["id"],
        "worker_key_id": (await created(http, f"{environment}/worker-keys", {"name": "ci"}))["id"],
        "join_token_id": (await created(http, f"{environment}/join-tokens", {"name": "ci"}))["id"],
        "work_pool": tenant.environment["work_pool"],
        "worker_id": tenant.session["session_id"],
        "session_id": tenant.session["session_id"],
        "agent_id": tenant.agent["id"],
        "version": "1",
        "policy_id": policy["id"],
        "binding_id": (
            await created(http, "/policy-bindings", {"policy": "own", "scope": "agent", "agent_id": tenant.agent["id"]})
        )["id"],
        "execution_id": (await tenant.start())["id"],
    }


async def ask(http: httpx.AsyncClient, method: str, path: str, ids: dict[str, str]) -> httpx.Response:
    """Ask one of the routes about these things."""
    return await http.request(method, path.format(**ids), json=BODIES.get((method, path)))
