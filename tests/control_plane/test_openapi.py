import re
from typing import Any

import pytest

from control_plane.app import create_app
from control_plane.settings import Settings
from tests.orchestrator import FakeOrchestrator

pytestmark = pytest.mark.unit

DIALECT = "/api/v1/llm/"
PROBLEM = ("application/problem+json", "#/components/schemas/ProblemRead")


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    settings = Settings.model_validate({"database_url": "postgresql://nobody@localhost/x", "secret_key": "x" * 32})
    return create_app(settings, orchestrator=FakeOrchestrator()).openapi()


@pytest.fixture(scope="module")
def everything(document: dict[str, Any]) -> dict[str, Any]:
    """All operations below /api/v1, as `get /path`."""
    return {
        f"{method} {path}": operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if path.startswith("/api/v1")
    }


@pytest.fixture(scope="module")
def operations(everything: dict[str, Any]) -> dict[str, Any]:
    """Those that speak a language of our own."""
    return {name: operation for name, operation in everything.items() if DIALECT not in name}


def errors(operations: dict[str, Any]) -> set[tuple[str, str, tuple[str, str]]]:
    """Operation, status, and media type with schema of every error that is declared."""
    return {
        (name, status, (media_type, content["schema"]["$ref"]))
        for name, operation in operations.items()
        for status, response in operation["responses"].items()
        for media_type, content in response.get("content", {}).items()
        if status >= "400"
    }


def test_every_reference_in_the_document_leads_somewhere(document: dict[str, Any]) -> None:
    referred = set(re.findall(r"'#/components/schemas/([^']+)'", repr(document)))

    assert "ProblemRead" in referred
    assert referred <= document["components"]["schemas"].keys()


@pytest.mark.parametrize("status", ["401", "403", "413", "422", "503"])
def test_every_operation_declares_what_can_happen_to_it(operations: dict[str, Any], status: str) -> None:
    undeclared = [name for name, operation in operations.items() if status not in operation["responses"]]

    assert len(operations) > 20
    assert undeclared == []


def test_every_operation_with_an_id_in_its_path_declares_that_it_may_not_exist(operations: dict[str, Any]) -> None:
    undeclared = [name for name, found in operations.items() if "{" in name and "404" not in found["responses"]]

    assert undeclared == []


def test_every_error_is_declared_as_a_problem(operations: dict[str, Any]) -> None:
    assert {content for _, _, content in errors(operations)} == {PROBLEM}


@pytest.mark.parametrize(
    ("dialect", "schema"), [("/llm/openai/", "OpenAIErrorRead"), ("/llm/anthropic/", "AnthropicErrorRead")]
)
def test_the_llm_gateway_declares_its_dialects_errors_and_problems_only_for_what_never_reaches_it(
    everything: dict[str, Any], dialect: str, schema: str
) -> None:
    found = errors({name: operation for name, operation in everything.items() if dialect in name})

    own = ("application/json", f"#/components/schemas/{schema}")
    assert {status for _, status, content in found if content == PROBLEM} == {"413", "429", "503"}
    assert {status for _, status, content in found if content == own} == {"400", "401", "403", "429", "4XX", "503"}
    assert {content for _, _, content in found} == {PROBLEM, own}


def test_every_operation_that_reads_a_body_declares_that_it_must_be_json(operations: dict[str, Any]) -> None:
    assert {name: "requestBody" in operation for name, operation in operations.items()} == {
        name: "415" in operation["responses"] for name, operation in operations.items()
    }


def test_an_id_beside_a_path_that_is_spelled_out_declares_that_it_may_be_that_path(operations: dict[str, Any]) -> None:
    declaring = {name for name, operation in operations.items() if "405" in operation["responses"]}

    assert declaring == {f"{method} /api/v1/policies/{{policy_id}}" for method in ("get", "patch", "put", "delete")}


def test_every_operation_says_what_it_is_for(everything: dict[str, Any]) -> None:
    assert [name for name, operation in everything.items() if not operation.get("description")] == []


def test_every_operation_has_a_name_of_its_own_that_reads_well(document: dict[str, Any]) -> None:
    names = [operation["operationId"] for methods in document["paths"].values() for operation in methods.values()]

    assert len(names) == len(set(names))
    assert [name for name in names if not re.fullmatch(r"[a-z]+(_[a-z]+)*", name)] == []


def test_every_operation_needs_a_bearer_credential(everything: dict[str, Any]) -> None:
    assert [name for name, operation in everything.items() if operation.get("security") != [{"HTTPBearer": []}]] == []


def test_every_body_that_is_sent_refuses_unknown_fields(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    sent = {name: schema for name, schema in schemas.items() if name.endswith("Create")}

    assert len(sent) >= 6
    assert [name for name, schema in sent.items() if schema.get("additionalProperties") is not False] == []


def test_the_document_is_the_same_each_time() -> None:
    settings = Settings.model_validate({"database_url": "postgresql://nobody@localhost/x", "secret_key": "x" * 32})
    app = create_app(settings, orchestrator=FakeOrchestrator())

    assert app.openapi() == app.openapi()
