"""LiteLLM between the dialects: what it must not need, and the scripted models in all of them."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from openai import AsyncOpenAI

from tests.control_plane.llm.streams import events_of

pytestmark = pytest.mark.integration

SCRIPT = json.dumps([{"say": "Let me look."}, {"tools": [{"tool": "clock_now"}, {"tool": "clock_now"}]}])
PARAMETERS = {"type": "object", "properties": {}}

_ALONE = """
import asyncio, sys
for name in ("mcp", "mcp_types", "soundfile", "anthropic"):
    sys.modules[name] = None
from control_plane.llm import translation
from control_plane.llm.dialects import CHAT_COMPLETIONS, MESSAGES, RESPONSES
from control_plane.llm.targets import of_the_server

async def main():
    target = of_the_server("scripted/assistant")
    messages = [{"role": "user", "content": "Hello"}]
    for dialect, asked in (
        (CHAT_COMPLETIONS, {"messages": messages}),
        (MESSAGES, {"messages": messages, "max_tokens": 9}),
        (RESPONSES, {"input": "Hello"}),
    ):
        whole = await translation.whole(None, dialect, target, asked)
        events = [event async for event in translation.stream(None, dialect, target, asked)]
        print(dialect.name, b"scripted" in whole, b"scripted" in b"".join(events))

asyncio.run(main())
"""


async def test_an_api_server_needs_no_package_that_only_workers_have() -> None:
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-W", "ignore", "-c", _ALONE],
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stdout.splitlines() == [
        "chat_completions True True",
        "messages True True",
        "responses True True",
    ], done.stderr


async def test_a_script_calls_tools_in_anthropics_dialect(anthropic: Callable[[str], httpx.AsyncClient]) -> None:
    tools = [{"name": "clock_now", "input_schema": PARAMETERS}]
    body: dict[str, Any] = {"model": "scripted/script", "max_tokens": 99, "tools": tools}
    body["messages"] = [{"role": "user", "content": SCRIPT}]

    whole = (await anthropic("scripted/script").post("/messages", json=body)).json()
    streamed = await anthropic("scripted/script").post("/messages", json=body | {"stream": True})

    started = [event["content_block"] for event in events_of(streamed.text) if event["type"] == "content_block_start"]
    assert [block["type"] for block in whole["content"]] == ["text", "tool_use", "tool_use"]
    assert (whole["stop_reason"], whole["usage"]["output_tokens"] > 0) == ("tool_use", True)
    assert [block["type"] for block in started] == ["text", "tool_use", "tool_use"]
    assert len({block["id"] for block in started[1:]}) == 2


async def test_a_script_calls_tools_as_responses(sdk: Callable[[str], AsyncOpenAI]) -> None:
    tools: Any = [{"type": "function", "name": "clock_now", "parameters": PARAMETERS}]
    responses = sdk("scripted/script").responses

    whole = await responses.create(model="scripted/script", input=SCRIPT, tools=tools)
    stream = await responses.create(model="scripted/script", input=SCRIPT, tools=tools, stream=True)
    last = [event async for event in stream][-1]

    assert [item.type for item in whole.output] == ["message", "function_call", "function_call"]
    assert last.type == "response.completed"
    assert [item.type for item in last.response.output] == ["message", "function_call", "function_call"]


@pytest.mark.parametrize(("stream", "of_messages"), [(False, "scripted_error"), (True, "rate_limited")])
async def test_a_scripted_failure_keeps_its_status_in_every_dialect_and_its_code_where_litellm_leaves_it(
    sdk: Callable[[str], AsyncOpenAI],
    http: Callable[[str], httpx.AsyncClient],
    anthropic: Callable[[str], httpx.AsyncClient],
    of_messages: str,
    *,
    stream: bool,
) -> None:
    script = json.dumps([{"error": {"status": 429, "message": "Later"}}])
    messages = [{"role": "user", "content": script}]
    rest = {"model": "scripted/script", "stream": stream}

    answers = [
        await http("scripted/script").post("/chat/completions", json={"messages": messages} | rest),
        await http("scripted/script").post("/responses", json={"input": script} | rest),
        await anthropic("scripted/script").post("/messages", json={"messages": messages, "max_tokens": 9} | rest),
    ]

    assert [(answer.status_code, answer.headers["retry-after"]) for answer in answers] == [(429, "1")] * 3
    assert [answer.json()["error"]["code"] for answer in answers] == [
        "scripted_error",
        "scripted_error",
        of_messages,
    ]
