import pytest

from control_plane.agents import prompts
from control_plane.problems import Invalid

pytestmark = pytest.mark.unit

VALUES = {
    "context": {
        "site": "Zürich",
        "doors": 3,
        "rooms": {"east-1": True},
        "sly": "{{ context.site }} {% x %}",
        "none": None,
    },
    "variables": {"tone": "kind"},
    "requested_by": "user:ada",
}


@pytest.mark.parametrize(
    ("instructions", "expected"),
    [
        ("Watch {{ context.site }}, {{context.doors}} doors.", "Watch Zürich, 3 doors."),
        ("{{ context.rooms.east-1 }} {{ context.rooms }}", 'true {"east-1": true}'),
        ("{{ variables.tone }} to {{ requested_by }}", "kind to user:ada"),
        ("{{ context.sly }}", "{{ context.site }} {% x %}"),
        (r"\{{ context.site }} {% if x %} { } }} $HOME %s", "{{ context.site }} {% if x %} { } }} $HOME %s"),
    ],
)
def test_variables_stand_for_values_which_are_data(instructions: str, expected: str) -> None:
    assert prompts.filled(instructions, VALUES, location="body.input") == expected


@pytest.mark.parametrize("name", ["context.nowhere", "context.none", "context.site.upper", "context.__class__"])
def test_a_variable_without_a_value_is_told(name: str) -> None:
    with pytest.raises(Invalid) as caught:
        prompts.filled(f"Watch {{{{ {name} }}}}.", VALUES, location="body.input")

    assert name in caught.value.detail
    assert caught.value.errors[0]["location"] == "body.input.context"


@pytest.mark.parametrize(
    "instructions", ["{{ site }}", "{{ context }}", "{{ variables.mood }}", "{{ agent.id }}", "{{ agent.name.x }}"]
)
def test_a_variable_that_can_not_exist_is_refused(instructions: str) -> None:
    with pytest.raises(Invalid, match="which is no variable"):
        prompts.check(instructions, {"tone": None}, location="body.instructions")


@pytest.mark.parametrize("instructions", ["{{ 1 + 1 }}", "{{", "{{ context.a | upper }}", "{{{ context.a }}}", "{{}}"])
def test_braces_that_begin_no_variable_are_refused_with_their_line(instructions: str) -> None:
    with pytest.raises(Invalid, match=r"In line 2 .* \\\{\{ for two braces"):
        prompts.check(f"Hello,\n{instructions}", {}, location="body.instructions")


def test_a_value_can_not_be_made_huge_by_naming_it_often() -> None:
    instructions = "{{context.big}}" * 5_000

    with pytest.raises(Invalid, match="longer than 200000 characters"):
        prompts.filled(instructions, {"context": {"big": "x" * 100_000}}, location="body.input")
