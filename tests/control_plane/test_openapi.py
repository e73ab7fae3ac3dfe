import re
from typing import Any

import pytest

from control_plane.app import create_app
from control_plane.settings import Settings
from tests.orchestrator import FakeOrchestrator

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    settings = Settings.model_validate({"database_url": "postgresql://nobody@localhost/x", "secret_key": "x" * 32})
    return create_app(settings, orchestrator=FakeOrchestrator()).openapi()


@pytest.fixture(scope="module")
def operations(document: dict[str, Any]) -> dict[str, Any]:
    """All operations below /api/v1, as `get /path`."""
    return {
        f"{method} {path}": operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if path.startswith("/api/v1")
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
    contents = {
        (media_type, content["schema"]["$ref"])
        for operation in operations.values()
        for status, response in operation["responses"].items()
        for media_type, content in response.get("content", {}).items()
        if status >= "400"
    }

    assert contents == {("application/problem+json", "#/components/schemas/ProblemRead")}


def test_every_operation_says_what_it_is_for(operations: dict[str, Any]) -> None:
    assert [name for name, operation in operations.items() if not operation.get("description")] == []


def test_every_operation_needs_a_bearer_credential(operations: dict[str, Any]) -> None:
    assert [name for name, operation in operations.items() if operation.get("security") != [{"HTTPBearer": []}]] == []


def test_every_body_that_is_sent_refuses_unknown_fields(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    sent = {name: schema for name, schema in schemas.items() if name.endswith("Create")}

    assert len(sent) >= 6
    assert [name for name, schema in sent.items() if schema.get("additionalProperties") is not False] == []


def test_the_document_is_the_same_each_time() -> None:
    settings = Settings.model_validate({"database_url": "postgresql://nobody@localhost/x", "secret_key": "x" * 32})
    app = create_app(settings, orchestrator=FakeOrchestrator())

    assert app.openapi() == app.openapi()
