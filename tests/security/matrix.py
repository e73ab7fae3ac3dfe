"""Every operation asked about everybody's things, and what is wrong with the answers."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from uuid import UUID, uuid5

from tests.security.attempts import Answer, Attempt, Canaries, Sender
from tests.security.belongings import SEVERAL, Place
from tests.security.holders import Holder
from tests.security.operations import Form, Operation, gateway_operations, operations
from tests.security.world import World

NOBODY = UUID("6d0a3f5e-4b1c-4f7a-9a55-7c1f0a9b2e33")
"""What the ids are derived from that nobody has."""
_REFUSED_BY_NAME = {
    "/llm/openai/v1/chat/completions": 403,
    "/llm/openai/v1/responses": 403,
    "/llm/anthropic/v1/messages": 403,
    "/llm/anthropic/v1/messages/count_tokens": 403,
    "/work-pools/{work_pool}/start": 404,
    "/worker/executions/{execution_id}/children": 404,
}
"""Where something in the body is answered in another way: the model, which every execution has one of, decides what one
may do; the queue to join is part of the address, as it is where no pool is named; and so is the agent to ask."""


@dataclass(slots=True)
class Judged:
    """How many attempts there were, and what was wrong."""

    attempts: int = 0
    findings: list[str] = field(default_factory=list)

    def note(self, attempt: object, answer: Answer, *reasons: str | None) -> None:
        """Add what is wrong with an answer, if anything is."""
        self.findings += [f"{why}: {attempt} → {answer.status} {answer.body[:300]}" for why in reasons if why]

    def judge(self, attempt: Attempt, answer: Answer, canaries: Canaries) -> None:
        """Add what an answer gives away."""
        if leaked := canaries.leaked(answer, sent=[*attempt.values.values(), *attempt.headers.values()]):
            self.note(attempt, answer, f"gives away {sorted(leaked)[:3]}")


@dataclass(frozen=True, slots=True)
class Foreign:
    """One way to ask about what is somebody else's: `about` says which of the values are.

    The first of several that differ in nothing but the values is asked about with all kinds of headers as well.
    """

    operation: Operation
    form: Form
    place: Place
    about: frozenset[str]
    values: Mapping[str, str]
    unknown: Mapping[str, str]
    first: bool

    @property
    def expected(self) -> int:
        """Not found, if the address names it. In a body it can't be used, and a filter finds nothing."""
        if self.about & {*self.operation.names}:
            return 404
        return _REFUSED_BY_NAME.get(self.operation.path, 200 if self.operation.method == "GET" else 422)

    @property
    def twin(self) -> tuple[object, ...]:
        """The same for all that ask in the same way."""
        return self.operation.route, repr(self.form), self.about, tuple(sorted(self.unknown.items()))


async def ask_about_others(world: World, holder: Holder) -> Judged:
    """Everything the holder may do, done to what isn't theirs: each time as if it didn't exist."""
    judged, sender = Judged(), Sender(world.http, holder.headers)
    cases = [
        case
        for operation in operations()
        if holder.opens(operation.permission)
        for place in holder.foreign
        for case in _foreign(operation, holder.own, place)
    ]
    twins = {case.twin: Attempt(case.operation, case.form, case.unknown) for case in cases}
    unknown = dict(zip(twins, await sender.send_all([*twins.values()]), strict=True))
    asked = [
        (case, Attempt(case.operation, case.form, case.values, headers))
        for case in cases
        for headers in _dressed(case, holder, world.parties.globex)
    ]
    sent_before = sender.sent
    for (case, attempt), answer in zip(asked, await sender.send_all([one for _, one in asked]), strict=True):
        judged.judge(attempt, answer, holder.canaries)
        twin = unknown[case.twin].masked({name: case.unknown[name] for name in case.about})
        masked = answer.masked({name: case.values[name] for name in case.about})
        judged.note(
            attempt,
            answer,
            f"isn't {case.expected}" if answer.status != case.expected else None,
            f"isn't as for nobody's ({twin.body[:200]})" if masked.shown != twin.shown else None,
            "works differently than for nobody's"
            if not attempt.headers and masked.statements != twin.statements
            else None,
            "finds something" if answer.status == 200 and answer.body != "[]" else None,
        )
    judged.attempts = sender.sent - sent_before
    return judged


async def ask_without_right(world: World, holder: Holder) -> Judged:
    """Everything the holder may not do: refused, whatever it is about."""
    closed = [one for one in [*operations(), *gateway_operations()] if not holder.opens(one.permission)]
    places = [holder.own, *holder.foreign, world.parties.globex]
    return await _always(world, holder.headers, closed, places, status=403, canaries=holder.canaries)


async def ask_with_dead(world: World, headers: Mapping[str, str]) -> Judged:
    """Everything, with a credential that doesn't count."""
    closed = [one for one in [*operations(), *gateway_operations()] if one.permission is not None]
    owner = world.holders["an owner's key"]
    return await _always(world, headers, closed, [owner.own, *owner.foreign], status=401, canaries=owner.canaries)


async def _always(
    world: World,
    headers: Mapping[str, str],
    closed: Sequence[Operation],
    places: Sequence[Place],
    *,
    status: int,
    canaries: Canaries,
) -> Judged:
    judged, sender = Judged(), Sender(world.http, headers)
    filler = world.parties.acme.joined(world.parties.shop)
    for operation in closed:
        for form in operation.forms:
            names = sorted({*operation.names, *form.names})
            chosen = [
                {name: _nth(place.values.get(name, filler.values[name]), number) for name in names}
                for place in places
                for number in range(SEVERAL)
            ]
            chosen.append({name: _unknown(name, world.parties.globex) for name in names})
            distinct = list({tuple(values.items()): values for values in chosen}.values())
            attempts = [Attempt(operation, form, values) for values in distinct]
            answers = await sender.send_all(attempts)
            # Only the address comes back in a refusal that is the same for everything.
            last = answers[-1].masked({name: attempts[-1].values[name] for name in operation.names})
            for attempt, answer in zip(attempts, answers, strict=True):
                judged.judge(attempt, answer, canaries)
                masked = answer.masked({name: attempt.values[name] for name in operation.names})
                judged.note(
                    attempt,
                    answer,
                    f"isn't {status}" if answer.status != status else None,
                    f"isn't as for nobody's ({last.body[:200]})" if masked.shown != last.shown else None,
                )
    judged.attempts = sender.sent
    return judged


def _foreign(operation: Operation, own: Place, place: Place) -> Iterator[Foreign]:
    for form in operation.forms:
        names = {*operation.names, *form.names}
        given = {name: own.values[name][0] for name in names}
        theirs = sorted(name for name in names & place.values.keys() if place.values[name][0] != given[name])
        subsets = [frozenset(some) for size in range(len(theirs)) for some in combinations(theirs, size + 1)]
        for about in subsets:
            unknown = given | {name: _unknown(name, place) for name in about}
            distinct = {
                tuple(_nth(place.values[name], number) for name in sorted(about)): number for number in range(SEVERAL)
            }
            for number in distinct.values():
                values = given | {name: _nth(place.values[name], number) for name in about}
                yield Foreign(operation, form, place, about, values, unknown, first=number == min(distinct.values()))


def _dressed(case: Foreign, holder: Holder, globex: Place) -> Iterator[dict[str, str]]:
    yield {}
    if not case.first:
        return
    if "X-Organization" not in holder.headers:
        yield {"X-Organization": globex.values["organization_id"][0]}
        yield {"X-Organization": globex.values["organization_slug"][0]}
    headers, last = case.operation.headers, case.operation.names[-1:]
    if case.about & {*case.operation.names}:
        tags = ["*", case.place.etags.get(case.values[last[0]], '"x"')]
        yield from ({name: tag} for name in ("If-Match", "If-None-Match") if name.lower() in headers for tag in tags)
    if "idempotency-key" in headers:
        yield {"Idempotency-Key": _key_for(case.operation, globex)}
    if "last-event-id" in headers:
        yield {"Last-Event-ID": "1"}


def _key_for(operation: Operation, place: Place) -> str:
    like = re.compile(re.sub(r"\{\w+\}", "[^/]+", operation.path))
    return next((said.key for said in place.said if like.fullmatch(said.path)), place.said[0].key)


def _nth(values: Sequence[str], number: int) -> str:
    return values[number % len(values)]


def _unknown(name: str, place: Place) -> str:
    """What nobody has, of the same form and length as what is in a place by this name."""
    if name.endswith("_id"):
        return str(uuid5(NOBODY, name))
    return place.values[name][0].replace(place.marker, "z" * len(place.marker))
