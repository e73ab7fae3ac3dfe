r"""Instructions with variables: `{{ context.environment }}` stands for a value of the request.

A variable is a name and nothing more: no expressions, no code. What a value holds is text, whatever it looks like, and
is not looked at again. `\{{` stands for the two braces themselves.
"""

import json
import re
from collections.abc import Iterator, Mapping
from string import Template
from typing import Any, ClassVar

from control_plane.problems import Invalid

MOST_CHARACTERS = 200_000
"""Of instructions with their values in place. A large value may stand in many places."""

FIXED = ("agent.name", "environment.name", "execution.id", "organization.name", "project.name", "requested_by")
"""Variables that every execution has, besides `context.…` and `variables.…`."""

_PART = r"[A-Za-z0-9_-]+"


class _Instructions(Template):
    delimiter = "{{"
    # What none of it matches is text. The groups are those that `Template` asks for; there is no `braced` form.
    pattern: ClassVar[Any] = rf"""
        \\(?P<escaped>\{{\{{) |
        \{{\{{ (?:
            [^\S\n]* (?P<named>[A-Za-z_][A-Za-z0-9_]*(?:\.{_PART})*) [^\S\n]* \}}\}} |
            (?P<braced>(?!)) | (?P<invalid>)
        )
    """
    flags = re.ASCII


def check(instructions: str, variables: Mapping[str, Any], *, location: str) -> None:
    """Raise `Invalid` unless every variable may have a value once there is a request."""
    for name in _names(instructions, location=location):
        root, _, rest = name.partition(".")
        known = name in FIXED or (rest and (root == "context" or (root == "variables" and _first(rest) in variables)))
        if not known:
            raise Invalid(
                f"The instructions use {_shown(name)}, which is no variable. There are {', '.join(FIXED)},"
                " context.… for what the request brings, and variables.… for the agent's own variables"
                f" ({', '.join(sorted(variables)) or 'it has none'}). Write"
                " \\{{ for two braces that are meant as such.",
                location=location,
            )


def filled(instructions: str, values: Mapping[str, Any], *, location: str) -> str:
    """The instructions with their values in place. Raises `Invalid` naming a variable that has none.

    `location` is where in the request `context` and `variables` stand.
    """
    if "{{" not in instructions:
        return instructions
    _names(instructions, location=location)
    return _Instructions(instructions).substitute(
        _Values(values, room=MOST_CHARACTERS - len(instructions), at=location)
    )


class _Values(Mapping[str, str]):
    """What variables stand for, as text."""

    def __init__(self, values: Mapping[str, Any], *, room: int, at: str) -> None:
        self._values = values
        self._room = room
        self._at = at
        self._found: dict[str, str] = {}

    def __getitem__(self, name: str) -> str:
        if name not in self._found:
            self._found[name] = self._text(name)
        self._room -= len(self._found[name])
        if self._room < 0:
            raise Invalid(
                f"The instructions of the agent are longer than {MOST_CHARACTERS} characters with {_shown(name)} in"
                " place. Send a shorter value, or use it less often.",
                location=self._location(name),
            )
        return self._found[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def _text(self, name: str) -> str:
        value: Any = self._values
        for part in name.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        if value is None:
            raise Invalid(
                f"The instructions of the agent use {_shown(name)}, which has no value. Send one in"
                f" {self._location(name).removeprefix('body.')}.",
                location=self._location(name),
            )
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

    def _location(self, name: str) -> str:
        return f"{self._at}.{_first(name)}"


def _names(instructions: str, *, location: str) -> list[str]:
    template = _Instructions(instructions)
    if not template.is_valid():
        position = next(
            found.start() for found in template.pattern.finditer(instructions) if found["invalid"] is not None
        )
        line = instructions.count("\n", 0, position) + 1
        raise Invalid(
            f"In line {line} of the instructions, {{{{ begins no variable such as {{{{ context.environment }}}}. Write"
            " \\{{ for two braces that are meant as such.",
            location=location,
        )
    return template.get_identifiers()


def _first(name: str) -> str:
    return name.partition(".")[0]


def _shown(name: str) -> str:
    return f"{{{{ {name} }}}}"
