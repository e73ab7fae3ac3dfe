"""How `scripted/assistant` finds the arguments of a tool in one step of a request.

What is spelled out comes first and a guess comes last. What the step doesn't say is left out, and the tool says that it
is missing. People find the rules in docs/scripted-model.md.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from control_plane.llm.conversation import Function, Parameter
from control_plane.llm.quotes import MARK, put_back, set_aside

FILE_WORDS = ("path", "file", "filename", "file_name", "folder", "directory")
"""Parameters of these names name a file or a folder."""

_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?![\w.])")
_FILE_NAME = re.compile(r"\S*(?:/|\.[^\W\d_])\S*")


def arguments(step: str, function: Function) -> dict[str, Any]:
    """The arguments that the step gives to the tool, in the order of its parameters."""
    properties = function.properties
    given, rest = _from_json(step, properties)
    words = _Words(rest)
    for find in (_assigned, _option, _named, _guess):
        for name in [name for name in properties if name not in given]:
            if (value := find(words, name, function)) is not None:
                given[name] = value
    return {name: given[name] for name in properties if name in given}


class _Words:
    """What a step says. `quoted`, `numbers` and `file_names` hold what no argument has used yet."""

    def __init__(self, step: str) -> None:
        self.step = step
        self.text, quotations = set_aside(step)
        self.quotations = [quotation[1:-1] for quotation in quotations]
        self.quoted = list(self.quotations)
        # A quoted word is a word. Longer quotations are somebody's text.
        self.plain = _plain(
            put_back(self.text, [text if text and " " not in text else "…" for text in self.quotations])
        )
        self.options: set[int] = set()
        unquoted = put_back(self.text, ["…"] * len(quotations))
        self.numbers = _NUMBER.findall(unquoted)
        found = (word.lstrip("(").rstrip("),.:!?") for word in unquoted.split() if "=" not in word)
        self.file_names = [word for word in found if _is_file_name(word)]

    def position(self, spelled: str) -> int:
        """Where the words stand first that name no option yet. Negative if nowhere."""
        position = self.plain.find(spelled)
        while position in self.options:
            position = self.plain.find(spelled, position + 1)
        return position

    def use(self, text: str) -> str:
        if text in self.quoted:
            self.quoted.remove(text)
        return text


def _from_json(step: str, properties: Mapping[str, Parameter]) -> tuple[dict[str, Any], str]:
    """The arguments in a JSON object, and the rest of the step."""
    start = step.find("{")
    if start < 0:
        return {}, step
    try:
        parsed, end = json.JSONDecoder().raw_decode(step, start)
    except (ValueError, RecursionError):
        return {}, step
    given = {name: value for name, value in parsed.items() if name in properties}
    return given, f"{step[:start]} {step[end:]}" if given else step


def _assigned(words: _Words, name: str, function: Function) -> Any:
    """`name=value`: the value is quoted or one word."""
    found = re.search(rf"(?<!\w){re.escape(name)}=(?:{MARK}|([^\s\x01]+))", words.text)
    if not found:
        return None
    quotation, word = found.groups()
    value = word.rstrip(",.") if word else words.use(words.quotations[int(quotation)])
    return _typed(value, function.properties[name])


def _option(words: _Words, name: str, function: Function) -> Any:
    """The option that the step names first. A word names one argument only, as in «from staging to production»."""
    found = [
        (position, -len(spelled), option)
        for option in function.properties[name].options
        if (spelled := _plain(str(option))).strip() and (position := words.position(spelled)) >= 0
    ]
    if not found:
        return None
    position, _, option = min(found, key=lambda place: place[:2])
    words.options.add(position)
    words.use(str(option))
    return option


def _named(words: _Words, name: str, function: Function) -> str | None:
    """The quoted text right behind the parameter's name; a parameter for a file goes by all its names."""
    if not _is_text(function.properties[name]):
        return None
    others = [word for word in FILE_WORDS if word not in function.properties] if name in FILE_WORDS else []
    for word in (name, *others):
        behind = rf"(?<!\w){re.escape(word).replace('_', '[_ ]')}(?::|\s(?:is|as|named|called))?\s?{MARK}"
        for found in re.finditer(behind, words.text, re.IGNORECASE):
            if (text := words.quotations[int(found.group(1))]) in words.quoted:
                return words.use(text)
    return None


def _guess(words: _Words, name: str, function: Function) -> Any:
    """For a required parameter: the next number, or the quoted text that fits best."""
    schema = function.properties[name]
    if name not in function.required:
        return None
    if schema.kinds & {"integer", "number"}:
        return _typed(words.numbers.pop(0), schema) if words.numbers else None
    if not _is_text(schema):
        return None
    names_a_file = name in FILE_WORDS
    fitting = [text for text in words.quoted if _is_file_name(text) == names_a_file]
    if not fitting and names_a_file and words.file_names:
        return words.file_names.pop(0)
    if fitting or words.quoted:
        return words.use((fitting or words.quoted)[0])
    if names_a_file:
        return None
    return words.file_names.pop(0) if words.file_names else words.step


def _is_file_name(text: str) -> bool:
    """Whether it looks like one: no white space, and a slash, or a dot with a letter behind it."""
    return bool(_FILE_NAME.fullmatch(text))


def _plain(text: str) -> str:
    """The words in lower case, with one space around each. «in_progress» is two words, «pre-production» is one."""
    words = re.findall(r"[\w-]+", text.lower().replace("_", " "))
    return f" {' '.join(words)} "


def _is_text(schema: Parameter) -> bool:
    return not schema.options and ("string" in schema.kinds or not schema.kinds)


def _typed(text: str, schema: Parameter) -> Any:
    """The text as what the schema asks for, or as it is: the tool then says what is wrong with it."""
    if "boolean" in schema.kinds and text.lower() in {"true", "false"}:
        return text.lower() == "true"
    try:
        if "integer" in schema.kinds:
            return int(text)
    except ValueError:
        return text
    return float(text) if "number" in schema.kinds and _NUMBER.fullmatch(text) else text
