"""Who may call a model: the token of a running execution, and the one model that it names."""

from collections.abc import Callable
from typing import Any

import httpx
import openai
import pytest
from openai import AsyncOpenAI

from tests.control_plane.llm.upstream import Upstream

pytestmark = pytest.mark.integration

Http = Callable[[str], httpx.AsyncClient]
MESSAGES: Any = [{"role": "user", "content": "Hello"}]


@pytest.mark.parametrize("path", ["/chat/completions", "/models"])
@pytest.mark.parametrize(
    ("token", "status", "code", "message"),
    [
        ("revoked", 401, "unauthenticated", "The credential is unknown, expired or revoked."),
        (
            "api-key",
            403,
            "forbidden",
            "This needs the permission models:call, which no role of api_key:ci gives.",
        ),
        ("ended", 403, "forbidden", "The execution of this token is not running, so it may call no model."),
    ],
)
async def test_only_the_token_of_a_running_execution_opens_the_gateway(
    http: Http, path: str, token: str, status: int, code: str, message: str
) -> None:
    method = {"/models": "GET"}.get(path, "POST")

    answer = await http(token).request(method, path, json={"model": "scripted/assistant", "messages": MESSAGES})

    kind = "invalid_request_error"
    assert answer.status_code == status
    assert answer.json() == {"error": {"message": message, "type": kind, "code": code, "param": None}}


async def test_without_a_credential_there_is_no_answer(gateway_url: str) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(f"{gateway_url}/models")

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.json()["error"]["code"] == "unauthenticated"


async def test_another_model_than_the_executions_is_refused(
    sdk: Callable[[str], AsyncOpenAI], upstream: Upstream
) -> None:
    with pytest.raises(openai.PermissionDeniedError, match="may call the model scripted/assistant and no") as refused:
        await sdk("scripted/assistant").chat.completions.create(model="openai/good", messages=MESSAGES)

    assert refused.value.code == "model_not_allowed"
    assert upstream.requests == []


async def test_the_executions_model_is_listed_and_no_other(sdk: Callable[[str], AsyncOpenAI]) -> None:
    models = await sdk("openai/good").models.list()

    assert [(model.id, model.owned_by) for model in models.data] == [("openai/good", "openai")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "JSON"),
        (b"\xff", "parsing the body"),
        ("[]", "dictionary"),
        ('{"model": "openai/good"}', "`messages` must be a list of at least one message."),
        ('{"model": "openai/good", "messages": []}', "`messages` must be a list of at least one message."),
        ('{"model": "openai/good", "messages": "Hello"}', "`messages` must be a list of at least one message."),
    ],
)
async def test_a_body_that_is_no_request_is_refused(
    http: Http, upstream: Upstream, content: str | bytes, message: str
) -> None:
    answer = await http("openai/good").post(
        "/chat/completions", content=content, headers={"Content-Type": "application/json"}
    )

    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "bad_request"
    assert message in answer.json()["error"]["message"]
    assert upstream.requests == []


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("base_url", "http://127.0.0.1:9/v1"),
        ("api_base", "http://127.0.0.1:9/v1"),
        ("api_key", "sk-of-the-caller"),
        ("api_version", "1"),
        ("organization", "org-of-the-caller"),
        ("custom_llm_provider", "scripted"),
        ("mock_response", "mocked"),
        ("mock_tool_calls", []),
        ("callbacks", ["langfuse"]),
        ("success_callback", ["langfuse"]),
        ("metadata", {"user": "somebody"}),
        ("litellm_metadata", {"user": "somebody"}),
        ("fallbacks", ["scripted/assistant"]),
        ("extra_headers", {"X-Smuggled": "yes"}),
        ("extra_body", {"smuggled": True}),
        ("headers", {"X-Smuggled": "yes"}),
        ("timeout", 0.000001),
        ("num_retries", 9),
        ("cache", {"no-cache": True}),
        ("proxy_server_request", {}),
        ("user", "somebody"),
    ],
)
async def test_a_request_cannot_steer_the_gateway(
    http: Http, upstream: Upstream, name: str, value: Any, *, stream: bool
) -> None:
    body = {"model": "openai/good", "messages": MESSAGES, "stream": stream}
    client = http("openai/good")

    plain = await client.post("/chat/completions", json=body)
    smuggling = await client.post("/chat/completions", json=body | {name: value})

    assert smuggling.status_code == plain.status_code == 200
    assert "upstream" in smuggling.text
    assert upstream.requests[1]["body"] == upstream.requests[0]["body"]
    assert upstream.requests[1]["headers"] == upstream.requests[0]["headers"]


async def test_a_tool_that_others_would_carry_out_is_refused_since_no_policy_sees_it(
    http: Http, upstream: Upstream
) -> None:
    tool = {"type": "mcp", "server_label": "x", "server_url": "litellm_proxy/mcp/x", "require_approval": "never"}

    answer = await http("openai/good").post(
        "/chat/completions", json={"model": "openai/good", "messages": MESSAGES, "tools": [tool]}
    )

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "tool_not_allowed")
    assert upstream.requests == []
