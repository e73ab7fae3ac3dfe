"""The pages in Markdown."""

from typing import Any

from control_plane.problems import PROBLEM_TYPE
from docs.reference.document import Operation, Reference, reference
from docs.reference.objects import (
    ANYTHING,
    anchor,
    capital,
    cell,
    code,
    parameter_table,
    references,
    schema_section,
    type_of,
)

_MADE = "<!-- Made by `make docs` from the OpenAPI document. Changes here are lost. -->"
_PROBLEM = ("ProblemRead", "ProblemError")
"""What the first page describes for all."""

_INTRODUCTION = """# API reference

For each operation: the permission it needs, what it takes and what it answers. How to begin is in the
[quickstart](../quickstart.md), sending again, ETags and limits in [requests](../requests.md), which role has which
permission in [roles](../roles.md). A running server shows the same at `/api/docs`, to try out.

Every request but those that need no permission carries `Authorization: Bearer …`:
"""


def pages() -> dict[str, str]:
    """Every page by its file name."""
    found = reference()
    return {"README.md": _index(found)} | {_file(subject): _page(found, subject) for subject in found.subjects}


def _file(subject: str) -> str:
    return f"{subject.lower().replace(' ', '-')}.md"


def _index(found: Reference) -> str:
    [scheme] = found.document["components"]["securitySchemes"].values()
    lines = [_MADE, _INTRODUCTION + scheme["description"], "", "## Operations"]
    for subject in found.subjects:
        lines += ["", f"[**{capital(subject)}**]({_file(subject)})", "", "| | | Permission |", "|---|---|---|"]
        for one in found.of(subject):
            link = f"[{one.title}]({_file(subject)}#{anchor(one.title)})"
            lines.append(f"| {link} | `{one.method} {one.path}` | {code(one.permission)} |")
    lines += ["", "## Parameters that many operations take", "", *parameter_table(list(found.parameters.values()))]
    lines += ["", "## Answers that most operations may give", ""]
    lines += ["Each is a problem (RFC 9457) as below, and is not repeated on the pages.", "", *_answers(found.answers)]
    lines += ["", "## Problems", "", f"The body of every refusal, as `{PROBLEM_TYPE}`."]
    for name in _PROBLEM:
        lines += ["", *schema_section(name, found.document["components"]["schemas"][name])]
    return "\n".join(lines) + "\n"


def _answers(answers: dict[str, str]) -> list[str]:
    return ["| Status | When |", "|---|---|", *(f"| {status} | {cell(text)} |" for status, text in answers.items())]


def _page(found: Reference, subject: str) -> str:
    lines = [_MADE, f"# {capital(subject)}", "", "[All operations](README.md)"]
    used: dict[str, None] = {}
    for operation in found.of(subject):
        lines += ["", *_operation(found, operation)]
        used |= dict.fromkeys(references(_bodies(operation)))
    schemas = found.document["components"]["schemas"]
    names = list(used)
    for name in names:  # grows while we go through it
        names += [other for other in references(schemas[name]) if other not in names]
    names = sorted(set(names) - {*_PROBLEM, *ANYTHING})
    if names:
        lines += ["", "## Objects"]
    for name in names:
        lines += ["", *schema_section(name, schemas[name])]
    return "\n".join(lines) + "\n"


def _bodies(operation: Operation) -> list[Any]:
    answers = [answer.get("content", {}) for answer in operation.answers.values()]
    return [operation.described.get("requestBody", {}), answers, [one["schema"] for one in operation.parameters]]


def _operation(found: Reference, operation: Operation) -> list[str]:
    lines = [f"## {operation.title}", ""]
    lines += [f"`{operation.method} {operation.path}` · permission: {code(operation.permission)}", ""]
    lines += [operation.described["description"]]
    shared = [one["name"] for one in operation.parameters if one == found.parameters.get(one["name"])]
    own = [one for one in operation.parameters if one["name"] not in shared]
    if own:
        lines += ["", *parameter_table(own)]
    takes = []
    if body := operation.described.get("requestBody"):
        [content] = body["content"].values()
        takes.append(f"Body: {type_of(content['schema'])}.")
    if shared:
        also = ", ".join(map(code, shared))
        takes.append(f"Also takes [{also}](README.md#{anchor('Parameters that many operations take')}).")
    if takes:
        lines += ["", " ".join(takes)]
    lines += ["", "| Answer | Body | |", "|---|---|---|"]
    for status, answer in operation.answers.items():
        if found.answers.get(status) != answer["description"]:
            lines.append(f"| {status} | {_answer_body(answer)} | {_answer_text(answer)} |")
    return lines


def _answer_body(answer: dict[str, Any]) -> str:
    kinds = []
    for media, content in answer.get("content", {}).items():
        if media == PROBLEM_TYPE:
            kinds.append("[problem](README.md#problems)")
        else:
            kinds.append(type_of(content["schema"]) if content.get("schema") else f"`{media}`")
    return " or ".join(kinds)


def _answer_text(answer: dict[str, Any]) -> str:
    text = answer["description"].replace("Successful Response", "")
    headers = ", ".join(code(name) for name in answer.get("headers", {}))
    return cell(" ".join(filter(None, [text, f"With {headers}." if headers else ""])))
