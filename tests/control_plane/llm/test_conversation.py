from typing import Any

import pytest

from control_plane.llm.conversation import Conversation
from control_plane.llm.turns import ScriptProblem
from tests.control_plane.llm.tools import TOOLS

pytestmark = pytest.mark.unit

USER = {"role": "user", "content": "Do it"}


def test_the_latest_user_message_is_the_request() -> None:
    read = Conversation.of([{"role": "user", "content": "Before"}, {"role": "assistant", "content": "Done"}, USER], [])

    assert read == Conversation(request="Do it", functions=(), turns=0, calls=0, results=())


def test_without_a_user_message_the_request_is_empty() -> None:
    read = Conversation.of([{"role": "system", "content": "Be kind"}], [])

    assert read.request == ""


def test_text_parts_are_read_as_lines_and_other_parts_are_passed_over() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:,"}}
    content = [{"type": "text", "text": "One"}, image, {"type": "text", "text": "Two"}]

    read = Conversation.of([{"role": "user", "content": content}], [])

    assert read.request == "One\nTwo"


def test_half_a_surrogate_pair_is_replaced() -> None:
    read = Conversation.of([{"role": "user", "content": "a\ud800b"}], [])

    assert read.request == "a?b"


def test_the_context_of_an_execution_asks_for_nothing() -> None:
    read = Conversation.of([{"role": "user", "content": "Do it\n\nContext of the request:\n{}"}], [])

    assert read.request == "Do it"


def test_turns_calls_and_results_are_counted_since_the_latest_user_message() -> None:
    messages = [
        USER,
        {"role": "assistant", "tool_calls": [_call("0", "old")]},
        {"role": "tool", "tool_call_id": "0", "content": "old"},
        USER,
        {"role": "assistant", "content": None, "tool_calls": [_call("1", "a"), _call("2", "b")]},
        {"role": "tool", "tool_call_id": "2", "content": "from b"},
        {"role": "tool", "tool_call_id": "1", "content": [{"type": "text", "text": "from a"}]},
        {"role": "assistant", "content": "Hm"},
    ]

    read = Conversation.of(messages, [])

    assert (read.turns, read.calls) == (2, 2)
    assert read.results == (("b", "from b"), ("a", "from a"))


def test_a_result_without_a_call_is_the_result_of_some_tool() -> None:
    read = Conversation.of([USER, {"role": "tool", "content": "stray"}], [])

    assert read.results == (("tool", "stray"),)


def test_only_functions_are_offered() -> None:
    read = Conversation.of([USER], [{"type": "mcp", "server_url": "http://mcp.test"}, TOOLS[0]])

    assert [function.name for function in read.functions] == ["kubernetes_list_deployments"]


def test_a_function_needs_no_parameters() -> None:
    read = Conversation.of([USER], [{"type": "function", "function": {"name": "clock_now"}}])

    assert (read.functions[0].properties, read.functions[0].required) == ({}, [])


def test_optional_options_are_found_behind_any_of() -> None:
    read = Conversation.of([USER], TOOLS)

    state = next(function for function in read.functions if function.name == "github_list_issues").properties["state"]
    assert state.options == ["open", "closed", "in_progress"]
    assert state.kinds == {"string", "null"}


@pytest.mark.parametrize(
    ("messages", "tools", "where"),
    [
        (["hello"], [], "0"),
        ([{"content": "hello"}], [], "0.role"),
        ([{"role": "assistant", "tool_calls": [{"id": "1"}]}], [], "0.tool_calls.0.function"),
        ([USER], [{"type": "function", "function": {}}], "0.function.name"),
        ([USER], [{"type": "function", "function": {"name": "a", "parameters": {"properties": 1}}}], "properties"),
    ],
)
def test_what_is_not_openais_format_is_refused_with_the_place(messages: Any, tools: Any, where: str) -> None:
    with pytest.raises(ScriptProblem, match=f"isn't in OpenAI's chat format: .*{where}") as refused:
        Conversation.of(messages, tools)

    assert (refused.value.status, refused.value.code) == (400, "bad_request")


def _call(identity: str, name: str) -> dict[str, Any]:
    return {"id": identity, "type": "function", "function": {"name": name, "arguments": "{}"}}
