"""What must stay out of the logs and of the output, at the most talkative level: prompts, completions and keys."""

import json
import logging
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.control_plane.llm.upstream import UPSTREAM_KEY, Upstream

pytestmark = pytest.mark.integration

Http = Callable[[str], httpx.AsyncClient]
PROMPT = "the-prompt-of-somebody"
COMPLETION = "the-completion-for-somebody"
SCRIPT = json.dumps([{"say": COMPLETION}])
FAILING_SCRIPT = json.dumps([{"say": COMPLETION}, {"error": {"status": 503, "message": COMPLETION}}])


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("model", "prompt", "said"),
    [
        ("openai/good", PROMPT, "upstream"),
        ("openai/limited", PROMPT, "limits the rate"),
        ("openai/broken", PROMPT, "doesn't answer"),
        ("openai/rejected", PROMPT, "no valid key"),
        ("openai/indiscreet", PROMPT, "[redacted]"),
        ("nobody/model", PROMPT, "knows no provider"),
        ("scripted/assistant", PROMPT, PROMPT),
        ("scripted/script", PROMPT, "expects the user message"),
        ("scripted/script", SCRIPT, COMPLETION),
        ("scripted/script", FAILING_SCRIPT, COMPLETION),
    ],
)
async def test_prompts_completions_and_keys_are_neither_logged_nor_printed(
    http: Http,
    upstream: Upstream,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    model: str,
    prompt: str,
    said: str,
    *,
    stream: bool,
) -> None:
    caplog.set_level(logging.DEBUG)

    answer = await http(model).post("/chat/completions", json=_body(model, prompt, stream=stream))

    printed = capfd.readouterr()
    written = "\n".join([caplog.text, *(str(vars(record)) for record in caplog.records), printed.out, printed.err])
    assert said in answer.text
    assert PROMPT not in written
    assert COMPLETION not in written
    assert "Hello from upstream" not in written
    assert UPSTREAM_KEY not in written


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["good", "limited", "broken", "unknown", "rejected", "indiscreet", "breaking"])
async def test_no_answer_shows_the_providers_key(http: Http, upstream: Upstream, model: str, *, stream: bool) -> None:
    answer = await http(f"openai/{model}").post(
        "/chat/completions", json=_body(f"openai/{model}", "Hello", stream=stream)
    )

    assert upstream.requests[0]["headers"]["authorization"] == f"Bearer {UPSTREAM_KEY}"
    assert UPSTREAM_KEY not in answer.text + str(answer.headers)


async def test_a_failure_is_logged_with_its_model_status_and_code(
    http: Http, upstream: Upstream, caplog: pytest.LogCaptureFixture
) -> None:
    await http("openai/limited").post("/chat/completions", json=_body("openai/limited", "Hello", stream=False))

    logged = [record.getMessage() for record in caplog.records if record.name == "control_plane.llm.gateway"]
    assert logged == ["model openai/limited answered 429: rate_limited"]


def _body(model: str, prompt: str, *, stream: bool) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": prompt}], "stream": stream}
