"""docs/reference is what `make docs` writes, and says what the application says."""

import pytest

from docs.reference.document import Operation, Reference, reference
from docs.reference.pages import pages
from tests.docs.pages import ROOT

pytestmark = pytest.mark.unit

FOLDER = ROOT / "docs" / "reference"


@pytest.fixture(scope="module")
def found() -> Reference:
    return reference()


@pytest.fixture(scope="module")
def made() -> dict[str, str]:
    return pages()


def test_the_pages_are_those_that_make_docs_writes(made: dict[str, str]) -> None:
    kept = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.md")}

    assert sorted(kept) == sorted(made), "run `make docs`"
    assert [name for name in made if kept[name] != made[name]] == [], "run `make docs`"


def test_every_operation_is_in_the_index_and_on_a_page_with_its_permission(
    found: Reference, made: dict[str, str]
) -> None:
    everything = "\n".join(made.values())

    def told(one: Operation) -> bool:
        permission = f"`{one.permission}`" if one.permission else "none"
        path = f"`{one.method} {one.path}`"
        return (
            f"| {path} | {permission} |" in made["README.md"] and f"\n{path} · permission: {permission}\n" in everything
        )

    assert len(found.operations) > 90
    assert [f"{one.method} {one.path}" for one in found.operations if not told(one)] == []


def test_every_object_is_described_where_it_is_used(found: Reference, made: dict[str, str]) -> None:
    used = {name for name in found.document["components"]["schemas"] if f"[{name}](#" in "".join(made.values())}

    assert {"AgentCreate", "ExecutionRead", "LlmConfig"} <= used
    assert [name for name in used if f"\n### {name} object\n" not in "".join(made.values())] == []


def test_the_body_of_an_agent_is_told_field_by_field(made: dict[str, str]) -> None:
    page = made["agents.md"]

    assert "| `llm_config` | [LlmConfig](#llmconfig-object) | required |  |" in page
    assert '| `agent_type` | text, like `^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$` | `"agno"` |' in page
    assert '"policies": ["require_approval_for_prod"]' in page


def test_what_most_operations_may_answer_is_told_once(found: Reference, made: dict[str, str]) -> None:
    assert {"401", "403", "404", "422", "429", "503"} <= set(found.answers)
    assert [name for name, page in made.items() if "The request carries no credential" in page] == ["README.md"]
