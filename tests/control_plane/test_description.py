"""Links and examples: what the OpenAPI document tells beyond single operations."""

import re
from typing import Any

import pytest
from fastapi.routing import iter_route_contexts

from control_plane.app import create_app
from control_plane.settings import Settings
from tests.orchestrator import FakeOrchestrator

pytestmark = pytest.mark.unit

SETTINGS = Settings.model_validate({"database_url": "postgresql://nobody@localhost/x", "secret_key": "x" * 32})
APP = create_app(SETTINGS, orchestrator=FakeOrchestrator())
PATHS: dict[str, Any] = APP.openapi()["paths"]
OPERATIONS = {
    operation["operationId"]: (path, operation) for path, methods in PATHS.items() for operation in methods.values()
}
LINKS = [
    (operation_id, status, link)
    for operation_id, (_, operation) in OPERATIONS.items()
    for status, response in operation["responses"].items()
    for link in response.get("links", {}).values()
]
READ_BODIES = [
    context.body_field.field_info.annotation
    for context in iter_route_contexts(APP.routes)
    if getattr(context, "body_field", None) and str(context.path).startswith("/api/v1")
]
CREATED = [kind for kind in READ_BODIES if re.search("Create$|Issue|Replace|Prompt|Check|^Evaluation$", kind.__name__)]


def linked(operation_id: str, status: str) -> dict[str, dict[str, str]]:
    """Where this answer of an operation leads, with what parameters."""
    return {
        link["operationId"]: link["parameters"]
        for source, answer, link in LINKS
        if (source, answer) == (operation_id, status)
    }


def test_what_was_created_leads_to_everything_that_can_be_done_with_it() -> None:
    agent = {"agent_id": "$response.body#/id"}

    assert linked("create_agent", "201") == {
        "get_agent": agent,
        "change_agent": agent,
        "delete_agent": agent,
        "execute_agent": agent,
        "roll_back_agent": agent,
        "list_agent_versions": agent,
        "get_agent_version": agent | {"version": "$response.body#/version"},
        "diff_agent_versions": agent | {"version": "$response.body#/version"},
    }


def test_what_is_listed_leads_there_too() -> None:
    assert linked("list_projects", "200") == {
        "get_project": {"project_id": "$response.body#/0/id"},
        "change_project": {"project_id": "$response.body#/0/id"},
        "delete_project": {"project_id": "$response.body#/0/id"},
    }


def test_ids_further_up_come_from_the_path_that_was_asked() -> None:
    assert linked("create_worker_key", "201")["get_worker_key"] == {
        "environment_id": "$request.path.environment_id",
        "worker_key_id": "$response.body#/id",
    }


def test_an_execution_that_an_agent_started_leads_where_every_execution_does() -> None:
    assert linked("execute_agent", "201") == linked("start_execution", "201")
    assert linked("execute_agent", "201").keys() == {
        "get_execution",
        "cancel_execution",
        "list_artifacts",
        "list_events",
        "stream_events",
    }


def test_what_has_a_name_instead_of_an_id_is_linked_by_it() -> None:
    assert linked("create_secret", "201")["get_secret"] == {"name": "$response.body#/name"}


def test_every_operation_on_something_can_be_reached() -> None:
    reached = {link["operationId"] for _, _, link in LINKS}

    assert {
        operation_id
        for operation_id, (path, _) in OPERATIONS.items()
        if "{" in path and "worker protocol" not in OPERATIONS[operation_id][1]["tags"]
    } == reached - {"join_worker_queue"}  # to which a queue leads all the same


def test_every_link_gives_exactly_the_parameters_of_the_path_that_it_leads_to() -> None:
    wrong = [
        (source, link)
        for source, _, link in LINKS
        if set(re.findall(r"{(\w+)}", OPERATIONS[link["operationId"]][0])) != link["parameters"].keys()
    ]

    assert len(LINKS) > 100
    assert wrong == []


@pytest.mark.parametrize("kind", CREATED, ids=lambda kind: kind.__name__)
def test_a_body_has_an_example_that_it_accepts(kind: Any) -> None:
    [example] = kind.model_json_schema()["examples"]

    accepted = kind.model_validate(example)

    assert accepted.model_dump(mode="json", exclude_unset=True).keys() == example.keys()


def test_every_body_that_creates_is_among_them() -> None:
    assert {kind.__name__ for kind in READ_BODIES if kind.__name__.endswith("Create")} <= {
        kind.__name__ for kind in CREATED
    }
    assert len(CREATED) >= 18
