"""One story on each runtime, from the claim to the end: a real API server, the real gateway, the scripted model."""

import json
from dataclasses import replace
from typing import Any

import pytest

from flows.agent_execution import execute_agent
from tests.flows.prefect_api import PrefectApi
from tests.tenants import Tenant, created
from tests.worker import events_of

pytestmark = pytest.mark.integration

SCHEMA = {
    "type": "object",
    "properties": {"now": {"type": "string"}, "zones": {"type": "integer"}},
    "required": ["now", "zones"],
    "additionalProperties": False,
}
POLICY = """package quiet

import rego.v1

deny contains "Nobody lists files at night." if input.tool.name == "files_list"
"""
STEPS = [
    {"say": "Let me see."},
    {"tool": "files_list", "arguments": {}},
    {"tool": "files_read", "arguments": {"path": "none.txt"}},
    {"tool": "files_write", "arguments": {"path": "true", "content": "null"}},
    {"tool": "files_write", "arguments": {"path": 5}},
    {"tool": "files_read", "raw_arguments": "{broken"},
    {"say": json.dumps({"now": "noon", "zones": 3})},
]


@pytest.fixture(scope="session")
def stories() -> dict[str, list[Any]]:
    """What each runtime told."""
    return {}


def outline(events: list[dict[str, Any]]) -> list[Any]:
    """What happened, without what differs from one run to the next. Chunks that follow each other count as one."""
    told: list[Any] = []
    for event in events:
        data = event["data"].get("data", event["data"])
        names = ("status", "content", "tool_name", "tool_status", "tool_input", "outcome", "model_turns", "output")
        kept = {name: data[name] for name in names if name in data}
        if event["type"] == "message_chunk" and told[-1][0] == "message_chunk":
            told[-1][1]["content"] += kept["content"]
        else:
            told.append([event["type"], kept])
    return told


async def test_a_story_is_the_same_on_every_runtime(
    agent_type: str,
    acme: Tenant,
    prefect: PrefectApi,
    stories: dict[str, list[Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CONTROL_PLANE_URL", str(acme.client.base_url).removesuffix("/api/v1/"))
    monkeypatch.setenv("CONTROL_PLANE_API_KEY", acme.session["session_token"])
    await created(acme.client, "/policies", {"name": "quiet", "module": POLICY})
    body = {
        "name": "Watch",
        "environment_id": acme.environment["id"],
        "agent_type": agent_type,
        "llm_config": {"provider": "scripted", "model": "script"},
        "instructions": "You watch {{ context.site }}.",
        "toolsets": ["files"],
        "policies": ["quiet"],
        "output_schema": SCHEMA,
    }
    agent = await created(acme.client, "/agents", body)
    execution = await replace(acme, agent=agent).start(message=json.dumps(STEPS), site="Zürich-7")

    async with prefect.used():
        state = await execute_agent.fn(execution["id"])

    ended = (await acme.client.get(f"/executions/{execution['id']}")).json()
    assert (ended["status"], ended["output"]) == ("completed", {"now": "noon", "zones": 3})
    assert state.is_completed()
    assert (ended["usage"]["model_turns"], ended["usage"]["tool_calls"]) == (6, 4)
    told = outline(await events_of(acme, execution["id"]))
    statuses = [kept["tool_status"] for kind, kept in told if kind == "tool_completed"]
    assert statuses == ["denied", "failed", "completed", "failed", "failed"]
    stories[agent_type] = told
    assert list(stories.values()) == [told] * len(stories)
