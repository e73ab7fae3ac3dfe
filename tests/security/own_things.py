"""What people do with what is theirs: without it no refusal would say anything. And what they hear of others by it."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from tests.security import addressed
from tests.security.attempts import Answer, Attempt, Sender
from tests.security.belongings import PENDING, RUNNING, Place
from tests.security.holders import Holder
from tests.security.matrix import Judged
from tests.security.operations import PREFIX, Form, Operation, operations
from tests.security.world import World

_CURSOR = re.compile(r"[?&]cursor=([\w-]+)")
_EXECUTION = {
    "claim": PENDING, "plan": RUNNING, "events": RUNNING, "lease": RUNNING, "agents": RUNNING, "children": RUNNING,
    "finish": RUNNING, "secrets": RUNNING, "artifacts": RUNNING,
}  # fmt: skip
"""Which execution a worker asks about, by the end of the path."""
_OF_WORKERS = "/worker/executions/"
_NOTHING = {"[]", '{"offers":[]}'}


async def do_everything(world: World) -> Judged:
    """Every operation once in every way, by whoever may do it, on what is theirs; deletions at the end."""
    judged = Judged()
    made = [*world.holders["an owner's key"].own.values]
    # What ends something at the end, and what was made last first, so that what is in something goes before it.
    deletions = sorted(
        (one for one in operations() if one.method == "DELETE" and not one.path.startswith(_OF_WORKERS)),
        key=lambda one: -made.index(one.names[-1]) if one.names else -len(made),
    )
    others = sorted((one for one in operations() if one not in deletions), key=lambda one: one.path.endswith("/finish"))
    for operation in [*others, *deletions]:
        holder = next(one for one in world.holders.values() if one.opens(operation.permission))
        sender = Sender(world.http, holder.headers)
        for form in operation.forms:
            attempt = Attempt(operation, form, _own(operation, form, holder.own))
            answer = await sender.send(attempt)
            found_nothing = form.query and operation.method == "GET" and answer.body == "[]"
            judged.judge(attempt, answer, holder.canaries)
            judged.note(
                attempt,
                answer,
                f"isn't {operation.success}" if answer.status != operation.success else None,
                "finds nothing" if found_nothing else None,
            )
        judged.attempts += sender.sent
    return judged


async def read_everything(world: World, holder: Holder) -> Judged:
    """Everything that the holder may read of what is theirs, also with headers and cursors of others."""
    judged, sender = Judged(), Sender(world.http, holder.headers)
    cursors = await _cursors(world)
    for operation in operations():
        if operation.method == "GET" and holder.opens(operation.permission):
            plain = Form(None, addressed.ALWAYS_SENT.get(operation.route, {}))
            values = _own(operation, plain, holder.own)
            attempts = [
                *(
                    Attempt(operation, plain, values, headers)
                    for headers in _dressed(operation, holder, world.parties.globex)
                ),
                *(Attempt(operation, plain, values, query=query) for query in cursors.get(operation.route, [])),
            ]
            for attempt, answer in zip(attempts, await sender.send_all(attempts), strict=True):
                judged.judge(attempt, answer, holder.canaries)
                judged.note(
                    attempt,
                    answer,
                    f"isn't {operation.success}" if answer.status != operation.success else None,
                    "finds nothing" if answer.body in _NOTHING and not attempt.query else None,
                )
    judged.attempts = sender.sent
    return judged


async def say_the_same(world: World) -> Judged:
    """All that the other organization said when it made its things, word for word, under its idempotency keys."""
    judged = Judged()
    holder = world.holders["an owner's key"]
    translation = dict(_translated(world.parties.globex, holder.own))
    for said in world.parties.globex.said:
        path = _translate(said.path, translation)
        body = json.loads(_translate(json.dumps(said.body), translation))
        response = await world.http.post(
            PREFIX + path, json=body, headers={**holder.headers, "Idempotency-Key": said.key}
        )
        answer = Answer(response.status_code, sorted(response.headers.items()), response.text, ())
        told = response.text + repr(answer.headers)
        for text in sorted(_texts(body), key=len, reverse=True):
            told = told.replace(json.dumps(text)[1:-1], "")
        leaked = holder.canaries.found(told)
        judged.note(
            said,
            answer,
            "isn't 201" if answer.status != 201 else None,
            "is somebody else's answer" if "idempotent-replayed" in response.headers else None,
            f"gives away {sorted(leaked)}" if leaked else None,
        )
        judged.attempts += 1
    return judged


def _own(operation: Operation, form: Form, own: Place) -> dict[str, str]:
    of_worker = operation.path.startswith(_OF_WORKERS)
    first = _EXECUTION.get(operation.path.split("/")[-1], 0) if of_worker else 0
    chosen = {name: own.values[name][0] for name in {*operation.names, *form.names}}
    for name in operation.names[-1:]:
        spare = -1 if operation.method == "DELETE" else min(first, len(own.values[name]) - 1)
        chosen[name] = own.values[name][spare]
    return chosen


def _dressed(operation: Operation, holder: Holder, globex: Place) -> Iterator[dict[str, str]]:
    yield {}
    if "X-Organization" not in holder.headers:
        yield {"X-Organization": globex.values["organization_id"][0]}
        yield {"X-Organization": globex.values["organization_slug"][0]}
    if "if-none-match" in operation.headers:
        yield {"If-None-Match": ", ".join(globex.etags.values())[:2_000]}
    if "last-event-id" in operation.headers:
        yield {"Last-Event-ID": "1"}


async def _cursors(world: World) -> dict[tuple[str, str], list[dict[str, str]]]:
    """For each list of the other organization that has more than one page, what leads to its second page."""
    globex = world.parties.globex
    sender = Sender(world.http, {"Authorization": f"Bearer {globex.keys['owner']}"})
    lists = [one for one in operations() if "cursor" in one.query]
    pages = [Attempt(one, Form(None, {}), _own(one, Form(None, {}), globex), query={"limit": "1"}) for one in lists]
    answers = await sender.send_all(pages)
    found = {
        one.route: _CURSOR.search(dict(page.headers).get("link", "")) for one, page in zip(lists, answers, strict=True)
    }
    return {
        route: [{"cursor": cursor[1]}, {"cursor": cursor[1], "limit": "1"}] for route, cursor in found.items() if cursor
    }


def _translated(theirs: Place, own: Place) -> Iterator[tuple[str, str]]:
    for name, values in theirs.values.items():
        if name.endswith("_id"):
            yield from zip(values, own.values[name], strict=True)


def _translate(text: str, translation: Mapping[str, str]) -> str:
    for theirs, own in translation.items():
        text = text.replace(theirs, own)
    return text


def _texts(value: Any) -> set[str]:
    match value:
        case dict():
            return set(value).union(*map(_texts, value.values()))
        case list():
            return set[str]().union(*map(_texts, value))
        case str():
            return {value}
        case _:
            return set()
