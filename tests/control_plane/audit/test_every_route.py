"""Every route through which people change something leaves one entry.

The routes are read from the application, so a new one is tested, or fails here until it has an example request.
"""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts

from control_plane.app import create_app
from control_plane.auth.dependencies import named_organization_session, tenant_session
from control_plane.auth.permissions import EXECUTION, WORKER_SESSION, Permission
from control_plane.settings import Settings
from control_plane.transactions import TenantRoute
from tests.conftest import TestDatabase
from tests.orchestrator import FakeOrchestrator
from tests.tenants import JOINING, Tenant, created

pytestmark = pytest.mark.integration

MODULE = 'package own\n\nimport rego.v1\n\ndeny contains "no" if false\n'
MODEL = {"provider": "scripted", "model": "script"}
GRANTS = [{"role": "viewer"}]

EXAMPLES: dict[str, Any] = {
    "POST /agents": {"name": "Another", "environment_id": "{home}", "llm_config": MODEL},
    "PATCH /agents/{agent_id}": {"description": "changed"},
    "DELETE /agents/{agent_id}": None,
    "POST /agents/{agent_id}/execute": {"prompt": "What time is it?"},
    "POST /agents/{agent_id}/rollback": {"version": 1},
    "POST /budgets": {"scope": "agent", "agent_id": "{agent_id}", "period": "day", "tokens": 5},
    "PATCH /budgets/{budget_id}": {"tokens": 7},
    "DELETE /budgets/{budget_id}": None,
    "POST /environments": {"name": "New", "slug": "new", "project_id": "{project_id}"},
    "PATCH /environments/{environment_id}": {"name": "Changed"},
    "DELETE /environments/{environment_id}": None,
    "POST /environments/{environment_id}/worker-queues": {"name": "another"},
    "POST /environments/{environment_id}/worker-keys": {"name": "another"},
    "DELETE /environments/{environment_id}/worker-keys/{worker_key_id}": None,
    "POST /environments/{environment_id}/worker-keys/{worker_key_id}/rotate": {},
    "POST /executions": {"agent_id": "{agent_id}", "input": {"message": "What time is it?"}},
    "DELETE /executions/{execution_id}": None,
    "PATCH /organizations/{organization_id}": {"name": "Changed"},
    "POST /organizations/{organization_id}/api-keys": {"name": "another", "role": "viewer"},
    "DELETE /organizations/{organization_id}/api-keys/{api_key_id}": None,
    "POST /organizations/{organization_id}/api-keys/{api_key_id}/rotate": {},
    "POST /organizations/{organization_id}/members": {"name": "Bo", "email": "bo@example.com", "grants": GRANTS},
    "PATCH /organizations/{organization_id}/members/{member_id}": {"name": "Robin"},
    "DELETE /organizations/{organization_id}/members/{member_id}": None,
    "POST /organizations/{organization_id}/roles": {"name": "another", "permissions": ["agents:read"]},
    "PATCH /organizations/{organization_id}/roles/{role_id}": {"description": "changed"},
    "DELETE /organizations/{organization_id}/roles/{role_id}": None,
    "POST /organizations/{organization_id}/service-accounts": {"name": "another"},
    "PATCH /organizations/{organization_id}/service-accounts/{service_account_id}": {"description": "changed"},
    "DELETE /organizations/{organization_id}/service-accounts/{service_account_id}": None,
    "POST /model-providers": {"name": "another", "kind": "openai", "secret": "openweather"},
    "PATCH /model-providers/{provider_id}": {"retries": 1},
    "DELETE /model-providers/{provider_id}": None,
    "POST /model-aliases": {"name": "another", "models": ["openai/gpt-4o"]},
    "PATCH /model-aliases/{alias_id}": {"models": ["openai/gpt-4o"]},
    "DELETE /model-aliases/{alias_id}": None,
    "POST /policies": {"name": "another", "module": MODULE},
    "PATCH /policies/{policy_id}": {"description": "changed"},
    "PUT /policies/{policy_id}": {"name": "own", "module": MODULE},
    "DELETE /policies/{policy_id}": None,
    "POST /policy-bindings": {"policy": "own", "scope": "organization"},
    "DELETE /policy-bindings/{binding_id}": None,
    "POST /projects": {"name": "New", "slug": "new"},
    "PATCH /projects/{project_id}": {"name": "Changed"},
    "DELETE /projects/{project_id}": None,
    "POST /secrets": {"name": "another", "value": "x"},
    "PUT /secrets/{name}": {"value": "x"},
    "DELETE /secrets/{name}": None,
    "POST /teams": {
        "name": "Another",
        "environment_id": "{home}",
        "leader_agent_id": "{leader_id}",
        "members": [{"agent_id": "{agent_id}"}],
    },
    "PATCH /teams/{team_id}": {"description": "changed"},
    "DELETE /teams/{team_id}": None,
    "POST /teams/{team_id}/execute": {"prompt": "What time is it?"},
    "POST /environments/{environment_id}/mcp": {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": "Idle", "arguments": {"message": "What time is it?", "wait_seconds": 0}},
    },
    "POST /toolset-configs": {"toolset": "files", "environment_id": "{home}", "settings": {"read_only": True}},
    "PATCH /toolset-configs/{config_id}": {"enabled": False},
    "DELETE /toolset-configs/{config_id}": None,
    "POST /worker-queues": {"name": "another", "environment_id": "{environment_id}"},
    "PATCH /worker-queues/{queue_id}": {"description": "changed"},
    "DELETE /worker-queues/{queue_id}": None,
    "POST /worker-queues/{queue_id}/start": JOINING,
    "POST /work-pools/{work_pool}/start": JOINING,
    "POST /workers/{worker_id}/drain": None,
    "POST /workers/{worker_id}/revoke": None,
    "POST /environments/{environment_id}/join-tokens": {"name": "another"},
    "DELETE /environments/{environment_id}/join-tokens/{join_token_id}": None,
}
"""What to send to each route, once the ids in braces are filled in."""

PLACES = {"POST /environments/{environment_id}/mcp": "home"}
"""In which environment to ask for what takes one that has agents, in place of one that can be deleted."""

OF_THE_OPERATOR = {
    "POST /organizations",
    "POST /organizations/{organization_id}/bootstrap",
    "PUT /organizations/{organization_id}/imposed-budgets",
}
SIGNS_OF_LIFE = {"POST /worker-sessions/{session_id}/renew"}
ENDS_THE_LOG = {"DELETE /organizations/{organization_id}"}


def dependencies_of(dependant: Dependant) -> list[Callable[..., Any]]:
    """Everything that a route depends on, directly or not. What is depended on twice counts twice."""
    below = [found for one in dependant.dependencies for found in dependencies_of(one)]
    return [one.call for one in dependant.dependencies if one.call] + below


def permission_of(dependant: Dependant) -> Permission | None:
    return next((call.permission for call in dependencies_of(dependant) if hasattr(call, "permission")), None)


def _routes() -> dict[str, Any]:
    settings = Settings.model_validate({"database_url": "postgresql://nobody@localhost/x", "secret_key": "x" * 32})
    return {
        f"{method} {str(route.path).removeprefix('/api/v1')}": route
        for route in iter_route_contexts(create_app(settings, orchestrator=FakeOrchestrator()).routes)
        if hasattr(route, "dependant")
        for method in route.methods or ()
    }


ROUTES = _routes()
PERMISSIONS = {name: permission_of(route.dependant) for name, route in ROUTES.items()}
CHANGING = {
    name: permission
    for name, permission in PERMISSIONS.items()
    if permission is not None
    and permission not in WORKER_SESSION | EXECUTION
    and name not in SIGNS_OF_LIFE
    and not name.startswith("GET ")
    and not permission.endswith(":read")
}


@pytest.fixture
async def ids(acme: Tenant) -> dict[str, str]:
    """One of everything, by the name of the path parameter; nothing refers to any of them."""
    http, organization = acme.client, f"/organizations/{acme.organization['id']}"
    home = acme.environment["id"]
    environment = {"name": "Empty", "slug": "empty", "project_id": acme.project["id"]}
    bodies: dict[str, tuple[str, dict[str, Any]]] = {
        "project_id": ("/projects", {"name": "Empty", "slug": "empty"}),
        "environment_id": ("/environments", environment),
        "agent_id": ("/agents", {"name": "Idle", "environment_id": home, "llm_config": MODEL}),
        "policy_id": ("/policies", {"name": "own", "module": MODULE}),
        "binding_id": ("/policy-bindings", {"policy": "no_destructive_tools", "scope": "organization"}),
        "provider_id": ("/model-providers", {"name": "own", "kind": "ollama", "base_url": "https://x.example/v1"}),
        "alias_id": ("/model-aliases", {"name": "own", "models": ["own/llama"]}),
        "config_id": ("/toolset-configs", {"toolset": "clock", "environment_id": home}),
        "budget_id": ("/budgets", {"scope": "organization", "period": "day", "tokens": 5}),
        "role_id": (f"{organization}/roles", {"name": "own", "permissions": ["agents:read"]}),
        "member_id": (f"{organization}/members", {"name": "Al", "email": "al@example.com", "grants": GRANTS}),
        "service_account_id": (f"{organization}/service-accounts", {"name": "robot"}),
        "api_key_id": (f"{organization}/api-keys", {"name": "key", "role": "viewer"}),
    }
    made = {name: (await created(http, path, body))["id"] for name, (path, body) in bodies.items()}
    worker_key = await created(http, f"/environments/{made['environment_id']}/worker-keys", {"name": "key"})
    join_token = await created(http, f"/environments/{made['environment_id']}/join-tokens", {"name": "token"})
    queue = await created(http, f"/environments/{made['environment_id']}/worker-queues", {"name": "own"})
    secret = await created(http, "/secrets", {"name": "openweather", "value": "x"})
    led = {"leader_agent_id": acme.agent["id"], "members": [{"agent_id": made["agent_id"]}]}
    team = await created(http, "/teams", {"name": "Own", "environment_id": home} | led)
    return made | {
        "organization_id": acme.organization["id"],
        "home": home,
        "leader_id": acme.agent["id"],
        "team_id": team["id"],
        "execution_id": (await acme.start())["id"],
        "worker_key_id": worker_key["id"],
        "join_token_id": join_token["id"],
        "worker_id": acme.session["session_id"],
        "work_pool": acme.environment["work_pool"],
        "queue_id": queue["id"],
        "name": secret["name"],
    }


def filled(body: Any, ids: dict[str, str]) -> Any:
    """A body with the ids in braces filled in."""
    match body:
        case dict():
            return {name: filled(value, ids) for name, value in body.items()}
        case list():
            return [filled(value, ids) for value in body]
        case str():
            return ids.get(body.strip("{}"), body)
        case _:
            return body


def entries(test_database: TestDatabase, request_id: str) -> list[tuple[Any, ...]]:
    """What the audit log of any organization holds of a request."""
    with psycopg.connect(test_database.superuser_url) as connection:
        return connection.execute(
            "SELECT action, method, route, status FROM audit_log WHERE request_id = %s", [request_id]
        ).fetchall()


def test_every_route_that_changes_something_has_an_example() -> None:
    assert CHANGING.keys() == EXAMPLES.keys() | OF_THE_OPERATOR | ENDS_THE_LOG


@pytest.mark.parametrize("name", sorted(CHANGING))
def test_every_route_that_changes_something_does_it_in_the_one_transaction_that_is_recorded(name: str) -> None:
    route = ROUTES[name]

    assert isinstance(route.original_route, TenantRoute)
    assert len({tenant_session, named_organization_session} & set(dependencies_of(route.dependant))) == 1


@pytest.mark.parametrize("name", sorted(EXAMPLES))
async def test_a_change_leaves_one_entry(
    acme: Tenant, ids: dict[str, str], test_database: TestDatabase, name: str
) -> None:
    method, path = name.split()
    request_id = uuid4().hex

    response = await acme.client.request(
        method,
        path.format(**ids | {"environment_id": ids[PLACES.get(name, "environment_id")]}),
        json=filled(EXAMPLES[name], ids),
        headers={"X-Request-Id": request_id},
    )

    assert response.is_success, response.text
    assert entries(test_database, request_id) == [(CHANGING[name], method, path, response.status_code)]


async def test_what_the_operator_does_leaves_one_entry_each(
    operator: httpx.AsyncClient, test_database: TestDatabase
) -> None:
    organization = await operator.post(
        "/organizations", json={"name": "New", "slug": "new"}, headers={"X-Request-Id": "first"}
    )
    key = await operator.post(
        f"/organizations/{organization.json()['id']}/bootstrap",
        json={"name": "first owner"},
        headers={"X-Request-Id": "second"},
    )
    imposed = await operator.put(
        f"/organizations/{organization.json()['id']}/imposed-budgets",
        json={"budgets": [{"period": "day", "usd": 5}]},
        headers={"X-Request-Id": "third"},
    )

    assert (organization.status_code, key.status_code, imposed.status_code) == (201, 201, 200)
    assert entries(test_database, "first") == [("organizations:create", "POST", "/organizations", 201)]
    assert entries(test_database, "second") == [
        ("organizations:bootstrap", "POST", "/organizations/{organization_id}/bootstrap", 201)
    ]
    assert entries(test_database, "third") == [
        ("budgets:impose", "PUT", "/organizations/{organization_id}/imposed-budgets", 200)
    ]


async def test_the_end_of_an_organization_ends_its_log_and_stands_in_the_log_of_the_server(
    acme: Tenant, globex: Tenant, test_database: TestDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    response = await acme.client.delete(
        f"/organizations/{acme.organization['id']}", params={"confirm": "acme"}, headers={"X-Request-Id": "the-end"}
    )

    assert response.status_code == 204, response.text
    assert entries(test_database, "the-end") == []
    assert [line for line in caplog.messages if "organizations:delete" in line and "request the-end" in line] != []


async def test_a_dry_run_leaves_no_entry(acme: Tenant, test_database: TestDatabase) -> None:
    response = await acme.client.post(
        "/policies/evaluate", json={"policies": ["no_destructive_tools"]}, headers={"X-Request-Id": "dry"}
    )

    assert response.status_code == 200
    assert entries(test_database, "dry") == []
