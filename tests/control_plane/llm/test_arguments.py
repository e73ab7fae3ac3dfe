from typing import Any

import pytest

from control_plane.llm.arguments import arguments
from control_plane.llm.conversation import Function
from tests.control_plane.llm.tools import function

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    "step",
    [
        'Write "hello" to the file "a.txt"',
        'Write to "a.txt" the text "hello"',
        'Write "hello" to a.txt.',
        "Write `hello` into `a.txt`",
        "Write “hello” to the file “a.txt”",
        'Write the content "hello" to the path: "a.txt"',
        'Write path=a.txt content="hello"',
        'Write {"content": "hello", "path": "a.txt"}',
        'Write {"path": "a.txt"} with "hello"',
    ],
)
def test_a_file_name_goes_to_the_path_and_other_text_to_the_content(step: str) -> None:
    found = arguments(step, function("files_write"))

    assert found == {"path": "a.txt", "content": "hello"}


def test_a_parameter_for_a_file_goes_by_every_word_for_files() -> None:
    found = arguments('Write "all:" to the file "Makefile"', function("files_write"))

    assert found == {"path": "Makefile", "content": "all:"}


def test_an_optional_path_is_given_when_the_step_names_it() -> None:
    found = arguments('List the files in the folder "docs"', function("files_list_files"))

    assert found == {"path": "docs"}


def test_an_optional_text_is_left_out_when_the_step_does_not_name_it() -> None:
    found = arguments('Create an issue "Broken login"', function("github_create_issue"))

    assert found == {"title": "Broken login"}


@pytest.mark.parametrize(
    "step",
    ['Move the file "a" into the folder "b"', 'Into the folder "b" move the file "a"', "Move a.txt: file=a folder=b"],
)
def test_file_and_folder_are_told_apart_by_their_names(step: str) -> None:
    found = arguments(step, function("files_move"))

    assert found == {"file": "a", "folder": "b"}


@pytest.mark.parametrize("text", ["a.txt", "docs/", "/etc", ".env", "a/b", "src/main.py"])
def test_a_slash_or_a_dot_before_a_letter_makes_a_file_name(text: str) -> None:
    found = arguments(f'Write "hello" "{text}"', function("files_write"))

    assert found["path"] == text


@pytest.mark.parametrize("text", ["1.5", "Hello.", "see a.txt", "v2", ""])
def test_numbers_and_sentences_are_no_file_names(text: str) -> None:
    found = arguments(f'Write "{text}" "a.txt"', function("files_write"))

    assert found == {"path": "a.txt", "content": text}


def test_a_path_is_never_made_of_the_whole_step() -> None:
    found = arguments("Read whatever you like", function("files_read"))

    assert found == {}


def test_a_text_that_is_not_quoted_is_the_whole_step() -> None:
    found = arguments('Send a message to the channel "ops"', function("slack_send_message"))

    assert found == {"channel": "ops", "text": 'Send a message to the channel "ops"'}


def test_quoted_text_is_not_read_for_arguments() -> None:
    found = arguments('Write "path=evil.txt and 7" to "a.txt"', function("files_write"))

    assert found == {"path": "a.txt", "content": "path=evil.txt and 7"}


@pytest.mark.parametrize(
    "step",
    [
        "delete the frontend app from staging",
        "Delete FRONTEND in Staging.",
        'delete "frontend" from `staging`',
        "from staging, delete frontend",
        "delete app=frontend environment=staging",
        "delete frontend from staging, not from pre-production or reproduction",
    ],
)
def test_an_option_is_picked_by_the_words_of_the_step(step: str) -> None:
    found = arguments(step, function("kubernetes_delete"))

    assert found == {"app": "frontend", "environment": "staging"}


@pytest.mark.parametrize(
    "step", ["delete the frontends", "delete the app in preproduction", "delete staging-eu", "delete"]
)
def test_an_option_that_no_whole_word_names_is_left_out(step: str) -> None:
    found = arguments(step, function("kubernetes_delete"))

    assert found == {}


@pytest.mark.parametrize(
    ("step", "state"), [("open", "open"), ("in progress", "in_progress"), ("in_progress", "in_progress")]
)
def test_an_optional_option_is_picked_when_its_word_is_there(step: str, state: str) -> None:
    found = arguments(f"List the {step} issues of acme/shop", function("github_list_issues"))

    assert found == {"repository": "acme/shop", "state": state}


def test_an_optional_option_is_left_out_when_its_word_is_not_there() -> None:
    found = arguments("List the issues of acme/shop", function("github_list_issues"))

    assert found == {"repository": "acme/shop"}


def test_options_inside_a_longer_quotation_do_not_count() -> None:
    found = arguments('List the issues of "the open shop"', function("github_list_issues"))

    assert found == {"repository": "the open shop"}


def test_a_word_names_one_argument_only_and_they_are_taken_in_order() -> None:
    found = arguments("Promote the release from production to staging", function("github_promote"))

    assert found == {"source": "production", "target": "staging"}


def test_of_options_that_begin_alike_the_longer_one_is_picked() -> None:
    ask = _function(kind={"enum": ["pull", "pull_request"]})

    found = arguments("Show the pull request", ask)

    assert found == {"kind": "pull_request"}


def test_an_option_keeps_its_type() -> None:
    found = arguments("Use port 443", _function(port={"enum": [80, 443]}))

    assert found == {"port": 443}


def test_numbers_are_taken_in_order_and_given_their_type() -> None:
    move = _function(x={"type": "integer"}, y={"type": "number"})

    found = arguments('Move "9" to 3 and -1.5', move)

    assert found == {"x": 3, "y": -1.5}


def test_a_number_that_is_not_there_is_left_out() -> None:
    found = arguments("Scale the frontend", function("kubernetes_scale"))

    assert found == {"app": "frontend"}


def test_truth_is_never_guessed() -> None:
    found = arguments("Use force", _function(force={"type": "boolean"}))

    assert found == {}


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("boolean", "true", True),
        ("boolean", "FALSE", False),
        ("boolean", "perhaps", "perhaps"),
        ("integer", "3", 3),
        ("integer", "3.5", "3.5"),
        ("number", "3.5", 3.5),
        ("number", "nan", "nan"),
        ("string", "3", "3"),
        (["integer", "null"], "3", 3),
    ],
)
def test_an_assigned_value_has_the_type_of_its_parameter(kind: Any, text: str, value: Any) -> None:
    found = arguments(f"Set value={text}, please", _function(value={"type": kind}))

    assert found == {"value": value}


def test_a_list_is_given_as_json() -> None:
    found = arguments('Create an issue {"title": "Broken", "labels": ["bug"]}', function("github_create_issue"))

    assert found == {"title": "Broken", "labels": ["bug"]}


@pytest.mark.parametrize("broken", ['{"path": ', "{" * 5_000, '{"path":' + "[" * 5_000, '{"path":' + "9" * 5_000 + "}"])
def test_json_that_cannot_be_read_is_taken_as_words(broken: str) -> None:
    found = arguments(f'Read "a.txt" {broken}', function("files_read"))

    assert found == {"path": "a.txt"}


def test_arguments_come_in_the_order_of_the_parameters() -> None:
    found = arguments("Delete environment=staging app=backend", function("kubernetes_delete"))

    assert list(found) == ["app", "environment"]


def _function(**parameters: Any) -> Function:
    schema = {"properties": parameters, "required": list(parameters)}
    return Function.model_validate({"name": "test", "parameters": schema})
