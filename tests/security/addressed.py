"""What it takes to ask each operation: bodies, filters, and which query parameters and headers name nothing.

A new route is added here. Text such as `"{agent_id}"` stands for something that a tenant has, by the names of
`tests.security.belongings`; path parameters do by themselves.
"""

from typing import Any

from control_plane.wire.executions import MOST_OFFERS
from tests.tenants import JOINING
from tests.worker import message

Route = tuple[str, str]
MODULE = 'package own\n\nimport rego.v1\n\ndeny contains "no" if false\n'
CHAT = {"model": "{model}", "messages": [{"role": "user", "content": '[{"say": "mine now"}]'}]}
GRANT = {"role": "{role_name}", "project_id": "{project_id}"}

BODIES: dict[Route, Any] = {
    ("POST", "/organizations"): {"name": "Mine now", "slug": "minenow"},
    ("PATCH", "/organizations/{organization_id}"): {"name": "Mine now"},
    ("POST", "/organizations/{organization_id}/bootstrap"): {"name": "mine now"},
    ("POST", "/organizations/{organization_id}/roles"): {"name": "mine", "permissions": ["agents:read"]},
    ("PATCH", "/organizations/{organization_id}/roles/{role_id}"): {"description": "mine now"},
    ("POST", "/organizations/{organization_id}/members"): {
        "name": "Me",
        "email": "me@example.com",
        "grants": [GRANT],
    },
    ("PATCH", "/organizations/{organization_id}/members/{member_id}"): {"grants": [GRANT]},
    ("POST", "/organizations/{organization_id}/service-accounts"): {"name": "mine now", "grants": [GRANT]},
    ("PATCH", "/organizations/{organization_id}/service-accounts/{service_account_id}"): {"grants": [GRANT]},
    ("POST", "/organizations/{organization_id}/api-keys"): {"name": "mine now"} | GRANT,
    ("POST", "/organizations/{organization_id}/api-keys/{api_key_id}/rotate"): {},
    ("POST", "/secrets"): {"name": "mine", "value": "mine", "environment_id": "{environment_id}"},
    ("PUT", "/secrets/{name}"): {"value": "mine now"},
    ("POST", "/projects"): {"name": "Mine now", "slug": "mine-now"},
    ("PATCH", "/projects/{project_id}"): {"name": "Mine now"},
    ("POST", "/environments"): {"name": "Mine now", "slug": "mine-now", "project_id": "{project_id}"},
    ("PATCH", "/environments/{environment_id}"): {"name": "Mine now"},
    ("POST", "/environments/{environment_id}/worker-keys"): {"name": "mine now"},
    ("POST", "/environments/{environment_id}/worker-keys/{worker_key_id}/rotate"): {},
    ("POST", "/environments/{environment_id}/worker-queues"): {"name": "mine-now"},
    ("POST", "/worker-queues"): {"name": "mine-too", "environment_id": "{environment_id}"},
    ("PATCH", "/worker-queues/{queue_id}"): {"paused": True},
    ("POST", "/worker-queues/{queue_id}/start"): JOINING,
    ("POST", "/work-pools/{work_pool}/start"): JOINING,
    ("POST", "/environments/{environment_id}/join-tokens"): {"name": "mine now"},
    ("POST", "/workers/{worker_id}/drain"): None,
    ("POST", "/workers/{worker_id}/revoke"): None,
    ("POST", "/worker-sessions/{session_id}/renew"): None,
    ("POST", "/worker-sessions/current/heartbeat"): {"running": 1},
    ("POST", "/policies"): {"name": "mine_now", "module": MODULE},
    ("POST", "/policies/validate"): {"module": MODULE},
    ("POST", "/policies/evaluate"): {"policies": ["{policy_name}"]},
    ("PATCH", "/policies/{policy_id}"): {"description": "mine now"},
    ("PUT", "/policies/{policy_id}"): {"name": "{policy_name}", "module": MODULE},
    ("POST", "/policies/{policy_id}/validate"): None,
    ("POST", "/policy-bindings"): {"policy": "{other_policy}", "scope": "agent", "agent_id": "{agent_id}"},
    ("POST", "/agents"): {
        "name": "Mine now",
        "environment_id": "{environment_id}",
        "llm_config": {"provider": "scripted", "model": "script"},
        "policies": ["{policy_name}"],
    },
    ("PATCH", "/agents/{agent_id}"): {"policies": ["{policy_name}"]},
    ("POST", "/agents/{agent_id}/rollback"): {"version": 1},
    ("POST", "/agents/{agent_id}/execute"): {"prompt": "mine now"},
    ("POST", "/teams"): {
        "name": "Mine now",
        "environment_id": "{environment_id}",
        "leader_agent_id": "{agent_id}",
        "members": [{"agent_id": "{other_agent_id}"}],
    },
    ("PATCH", "/teams/{team_id}"): {"members": [{"agent_id": "{other_agent_id}"}]},
    ("POST", "/teams/{team_id}/execute"): {"prompt": "mine now"},
    ("POST", "/budgets"): {"scope": "agent", "agent_id": "{agent_id}", "period": "total", "tokens": 1_000_000_000},
    ("PATCH", "/budgets/{budget_id}"): {"tokens": 2_000_000_000},
    ("PUT", "/organizations/{organization_id}/imposed-budgets"): {
        "budgets": [{"period": "total", "tokens": 1_000_000_000}]
    },
    ("POST", "/executions"): {"agent_id": "{agent_id}", "input": {"message": "mine now"}},
    ("POST", "/worker/executions/{execution_id}/claim"): {"worker": "mine now"},
    ("POST", "/worker/executions/{execution_id}/events"): {"fence": 1, "events": [message(1)]},
    ("POST", "/worker/executions/{execution_id}/lease"): {"fence": 1},
    ("POST", "/worker/executions/{execution_id}/children"): {
        "fence": 1,
        "key": "mine",
        "agent": "{other_agent_id}",
        "message": "mine now",
    },
    ("POST", "/worker/executions/{execution_id}/finish"): {"fence": 1, "status": "completed"},
    ("POST", "/worker/executions/{execution_id}/secrets"): {"fence": 1, "toolset": "{toolset_name}", "name": "key"},
    ("POST", "/worker/executions/{execution_id}/artifacts"): {"mine": "now"},
    ("POST", "/toolset-configs"): {
        "toolset": "mine",
        "environment_id": "{environment_id}",
        "secrets": {"key": "{name}"},
    },
    ("PATCH", "/toolset-configs/{config_id}"): {"secrets": {"key": "{name}"}},
    ("POST", "/llm/openai/v1/chat/completions"): CHAT,
    ("POST", "/llm/openai/v1/responses"): {"model": "{model}", "input": '[{"say": "mine now"}]'},
    ("POST", "/llm/anthropic/v1/messages"): CHAT | {"max_tokens": 100},
    ("POST", "/llm/anthropic/v1/messages/count_tokens"): CHAT,
    ("POST", "/model-providers"): {
        "name": "mine-now",
        "kind": "openai_compatible",
        "base_url": "https://mine.example.com/v1",
    },
    ("PATCH", "/model-providers/{provider_id}"): {"retries": 1},
    ("POST", "/model-aliases"): {"name": "mine-now", "models": ["scripted/script"]},
    ("PATCH", "/model-aliases/{alias_id}"): {"models": ["scripted/script"]},
}
"""For each operation that writes: what its owner sends. None for those without a body."""

MORE_BODIES: dict[Route, list[Any]] = {
    ("POST", "/organizations/{organization_id}/api-keys"): [
        {"name": "mine too", "service_account_id": "{service_account_id}"}
    ],
    ("POST", "/policy-bindings"): [
        {"policy": "{other_policy}", "scope": "environment", "environment_id": "{environment_id}"},
        {"policy": "{other_policy}", "scope": "project", "project_id": "{project_id}"},
        {"policy": "{other_policy}", "scope": "organization"},
    ],
    ("POST", "/budgets"): [
        {"scope": "project", "project_id": "{project_id}", "period": "total", "tokens": 1_000_000_000},
        {"scope": "organization", "period": "total", "tokens": 1_000_000_000},
    ],
    ("POST", "/toolset-configs"): [
        {"toolset": "mine", "project_id": "{project_id}"},
        {"toolset": "mine", "secrets": {"key": "{name}"}},
    ],
    ("POST", "/work-pools/{work_pool}/start"): [JOINING | {"worker_queue": "{queue_name}"}],
    ("POST", "/llm/openai/v1/chat/completions"): [CHAT | {"stream": True}],
    ("POST", "/llm/openai/v1/responses"): [{"model": "{model}", "input": '[{"say": "mine now"}]', "stream": True}],
    ("POST", "/llm/anthropic/v1/messages"): [CHAT | {"max_tokens": 100, "stream": True}],
}
"""What else its owner may send there, where another body names other things."""

FILTERS: dict[Route, str] = {
    ("/organizations", "slug"): "organization_slug",
    ("/organizations/{organization_id}/roles", "name"): "role_name",
    ("/organizations/{organization_id}/members", "email"): "member_email",
    ("/organizations/{organization_id}/service-accounts", "name"): "service_account_name",
    ("/organizations/{organization_id}/api-keys", "name"): "api_key_name",
    ("/organizations/{organization_id}/api-keys", "service_account_id"): "service_account_id",
    ("/organizations/{organization_id}/audit-log", "actor"): "actor",
    ("/organizations/{organization_id}/audit-log", "resource_id"): "agent_id",
    ("/secrets", "environment_id"): "environment_id",
    ("/projects", "slug"): "project_slug",
    ("/environments", "slug"): "environment_slug",
    ("/environments", "project_id"): "project_id",
    ("/worker-queues", "environment_id"): "environment_id",
    ("/worker-queues", "name"): "queue_name",
    ("/workers", "environment_id"): "environment_id",
    ("/workers", "worker_queue_id"): "queue_id",
    ("/model-providers", "name"): "provider_name",
    ("/model-aliases", "name"): "alias_name",
    ("/policies", "name"): "policy_name",
    ("/agents", "name"): "agent_name",
    ("/agents", "environment_id"): "environment_id",
    ("/policy-bindings", "policy"): "policy_name",
    ("/policy-bindings", "project_id"): "project_id",
    ("/policy-bindings", "environment_id"): "environment_id",
    ("/policy-bindings", "agent_id"): "agent_id",
    ("/budgets", "project_id"): "project_id",
    ("/budgets", "agent_id"): "agent_id",
    ("/budgets", "execution_id"): "execution_id",
    ("/usage", "project_id"): "project_id",
    ("/usage", "environment_id"): "environment_id",
    ("/usage", "agent_id"): "agent_id",
    ("/usage", "model"): "model",
    ("/toolset-configs", "toolset"): "toolset_name",
    ("/toolset-configs", "project_id"): "project_id",
    ("/toolset-configs", "environment_id"): "environment_id",
    ("/executions", "agent_id"): "agent_id",
    ("/executions", "environment_id"): "environment_id",
    ("/executions", "parent_execution_id"): "parent_id",
    ("/executions", "team_id"): "team_id",
    ("/teams", "name"): "team_name",
    ("/teams", "environment_id"): "environment_id",
}
"""For each path and query parameter that names something: what it names."""

NAMING_NOTHING = {
    "limit",
    "cursor",
    "after",
    "against",
    "since",
    "until",
    "status",
    "action",
    "resource_type",
    "wait_seconds",
    "in_place",
    "key",
    "media_type",
    "fence",
    "bucket",
    "group_by",
    "provider",
}
"""Query parameters that name nothing of a tenant. Cursors have a test of their own."""

ALWAYS_SENT = {
    ("DELETE", "/organizations/{organization_id}"): {"confirm": "{organization_slug}"},
    ("POST", "/worker/executions/{execution_id}/artifacts"): {
        "fence": "1",
        "key": "mine",
        "name": "mine.txt",
        "media_type": "text/plain",
    },
    ("GET", "/worker/queues/current/offers"): {"most": str(MOST_OFFERS), "wait_seconds": "0"},
}
"""Query parameters without which an operation can't be asked, or wouldn't show all that it can. Nobody here waits."""

HEADERS = {"idempotency-key", "if-match", "if-none-match", "last-event-id"}
"""The headers of operations that the attempts fill with what is somebody else's."""

NO_ENTRY = "{} isn't in tests/security/addressed.py: add {}."


def missing(method: str, path: str, *, reads_body: bool, query: set[str], headers: set[str]) -> list[str]:
    """What this module has yet to say about an operation, in sentences."""
    operation = f"{method} {path}"
    lacking = [
        NO_ENTRY.format(f"?{name} of {operation}", "what it names to FILTERS, or the parameter to NAMING_NOTHING")
        for name in sorted(query - NAMING_NOTHING - ALWAYS_SENT.get((method, path), {}).keys())
        if (path, name) not in FILTERS
    ]
    lacking += [
        NO_ENTRY.format(f"the header {name} of {operation}", "it to HEADERS, and to what `matrix.dressed` sends")
        for name in sorted({name.lower() for name in headers} - HEADERS)
    ]
    if (reads_body or method == "POST") and (method, path) not in BODIES:
        lacking.append(NO_ENTRY.format(operation, "what its owner sends to BODIES, with the ids in it as {names}"))
    return lacking
