"""What is reserved before a call and settled after it, against a real database and with no model at all."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, text, update

from control_plane.auth.principals import ExecutionPrincipal
from control_plane.budgets import service as budgets
from control_plane.budgets.models import Budget, BudgetPeriod
from control_plane.budgets.periods import Period
from control_plane.budgets.schemas import BudgetCreate, ImposedBudget, Scope
from control_plane.db import Database
from control_plane.executions.models import Execution
from control_plane.llm.bounds import input_bound
from control_plane.llm.errors import ModelError
from control_plane.llm.metering import LONGEST_CALL, Metering, settle_lost
from control_plane.llm.prices import KnownModel, ModelPrice
from control_plane.organizations import service as organizations
from control_plane.organizations.schemas import OrganizationCreate
from control_plane.usage.models import ModelCall
from control_plane.wire.executions import FinalStatus
from tests.conftest import TestDatabase
from tests.control_plane.executions.conftest import Shop, shop  # noqa: F401 - a fixture

pytestmark = pytest.mark.integration

ASKED: dict[str, Any] = {"messages": [{"role": "user", "content": "How much is it?"}], "max_tokens": 1_000}
READ = input_bound(ASKED, KnownModel())
"""What a call of this request reserves for its input."""
A_DOLLAR_A_TOKEN = ModelPrice(input=Decimal(1_000_000), output=Decimal(1_000_000))
NEW_YEARS_EVE = datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC)


@dataclass
class Spender:
    """An execution that calls models, in an organization whose budgets are read and set beneath the API."""

    shop: Shop
    caller: ExecutionPrincipal
    project_id: UUID
    metering: Metering
    moments: list[datetime] = field(default_factory=list)

    async def limit(self, scope: Scope = Scope.ORGANIZATION, period: Period = Period.TOTAL, **limits: Any) -> UUID:
        places = {Scope.PROJECT: {"project_id": self.project_id}, Scope.AGENT: {"agent_id": self.shop.agent_id}}
        body = BudgetCreate(scope=scope, period=period, **places.get(scope, {}), **limits)
        async with self.shop.database.tenant(self.shop.organization_id) as session:
            return (await budgets.create(session, self.shop.organization_id, body)).id

    async def ask(self, used: int = 0, **asked: Any) -> int | None:
        """One call, of which the provider says that it used so much; the limit of output that it was given."""
        return await self.of_model("scripted/script", used, **asked)

    async def of_model(self, model: str, used: int = 0, *, price: ModelPrice | None = None, **asked: Any) -> int | None:
        async with self.metering.call(self.caller, model=model, request=ASKED | asked, price=price) as meter:
            meter.used(input_tokens=used)
            return meter.output_limit

    async def periods(self) -> list[BudgetPeriod]:
        async with self.shop.database.tenant(self.shop.organization_id) as session:
            return list(await session.scalars(select(BudgetPeriod).order_by(BudgetPeriod.starts_at)))

    async def counted(self) -> list[tuple[int, int]]:
        """Of each period: tokens spent, and tokens reserved."""
        return [(found.spent_tokens, found.reserved_tokens) for found in await self.periods()]

    async def calls(self) -> list[ModelCall]:
        async with self.shop.database.tenant(self.shop.organization_id) as session:
            return list(await session.scalars(select(ModelCall).order_by(ModelCall.created_at)))


@pytest.fixture
async def spender(shop: Shop) -> AsyncIterator[Spender]:  # noqa: F811 - the fixture
    claim = await shop.claim(await shop.start())
    execution = await shop.read(claim.execution_id)
    caller = ExecutionPrincipal(shop.organization_id, execution.id, claim.fence, model="scripted/script")
    moments: list[datetime] = []
    metering = Metering(shop.database, clock=lambda: moments[-1] if moments else None)
    yield Spender(shop, caller, execution.project_id, metering, moments)
    await metering.stop()


async def refused(call: Any) -> ModelError:
    with pytest.raises(ModelError) as caught:
        await call
    return caught.value


async def test_a_call_reserves_the_most_it_may_use_and_settles_what_it_used(spender: Spender) -> None:
    await spender.limit(tokens=10_000)

    async with spender.metering.call(spender.caller, model="scripted/script", request=ASKED) as meter:
        under_way = await spender.counted()
        meter.used(input_tokens=11, output_tokens=3)

    assert under_way == [(0, READ + 1_000)]
    assert await spender.counted() == [(14, 0)]


async def test_of_two_hundred_calls_at_once_ten_find_room_and_nothing_is_overspent(spender: Spender) -> None:
    most = 10 * (READ + 1_000) + 255
    await spender.limit(tokens=most)
    go_on = asyncio.Event()

    async def ask() -> None:
        async with spender.metering.call(spender.caller, model="scripted/script", request=ASKED) as meter:
            await go_on.wait()
            meter.used(input_tokens=READ, output_tokens=1_000)

    calls = [asyncio.create_task(ask()) for _ in range(200)]
    ended = asyncio.as_completed(calls)
    refusals = [await refused(next(ended)) for _ in range(190)]
    [(spent, reserved)] = await spender.counted()
    go_on.set()
    await asyncio.gather(*(call for call in calls if not call.done()))

    assert {refusal.status for refusal in refusals} == {429}
    assert (spent, reserved) == (0, 10 * (READ + 1_000))
    assert await spender.counted() == [(10 * (READ + 1_000), 0)]
    assert (await refused(spender.ask())).status == 402


@pytest.mark.parametrize("scope", [Scope.ORGANIZATION, Scope.AGENT])
async def test_a_used_up_budget_is_named_with_what_was_used_and_when_it_begins_anew(
    spender: Spender, scope: Scope
) -> None:
    spender.moments.append(NEW_YEARS_EVE)
    await spender.limit(tokens=1_000_000)
    budget_id = await spender.limit(scope, Period.MONTH, tokens=2_000)
    await spender.ask(1_900)

    refusal = await refused(spender.ask())

    assert (refusal.status, refusal.code) == (402, "budget_exceeded")
    assert str(refusal) == (
        f"The call has no room in the monthly budget of the {scope} ({budget_id}): 1,900 tokens of 2,000 tokens used,"
        f" and it may need {READ + 1_000:,} tokens. It begins anew at 2027-01-01T00:00Z; raise it to go on before."
    )


async def test_a_budget_in_usd_is_reserved_and_settled_by_price(spender: Spender) -> None:
    await spender.limit(usd=READ + 1_100)

    async with spender.metering.call(spender.caller, model="own/model", request=ASKED, price=A_DOLLAR_A_TOKEN) as meter:
        [under_way] = await spender.periods()
        meter.used(input_tokens=READ, output_tokens=900)
    [after] = await spender.periods()
    refusal = await refused(spender.of_model("own/model", price=A_DOLLAR_A_TOKEN))

    assert (under_way.reserved_usd, under_way.spent_usd) == (READ + 1_000, 0)
    assert (after.reserved_usd, after.spent_usd) == (0, READ + 900)
    assert f"{READ + 900} USD of {READ + 1_100} USD used" in str(refusal)


async def test_a_call_whose_price_is_unknown_is_refused_where_usd_are_counted_and_free_elsewhere(
    spender: Spender,
) -> None:
    await spender.limit(tokens=10_000)
    await spender.of_model("own/model", 5)
    await spender.limit(Scope.AGENT, usd=1)

    refusal = await refused(spender.of_model("own/model"))

    assert (refusal.status, refusal.code) == (400, "price_unknown")
    assert "own/model" in str(refusal)
    assert [call.cost_usd for call in await spender.calls()] == [None]


async def test_a_model_that_costs_nothing_passes_a_budget_of_no_dollar(spender: Spender) -> None:
    await spender.limit(usd=0)

    assert await spender.ask(5) is None


async def test_output_is_lowered_to_the_room_that_is_left(spender: Spender) -> None:
    await spender.limit(tokens=READ + 300)

    assert await spender.ask(max_tokens=1_000) == 300


async def test_output_is_not_lowered_to_what_makes_no_answer(spender: Spender) -> None:
    await spender.limit(tokens=READ + 200)

    assert (await refused(spender.ask(max_tokens=1_000))).code == "budget_exceeded"
    assert await spender.ask(max_tokens=200) is None


async def test_each_of_several_answers_gets_its_part_of_what_is_left(spender: Spender) -> None:
    await spender.limit(tokens=input_bound(ASKED | {"n": 3}, KnownModel()) + 900)

    assert await spender.ask(max_tokens=1_000, n=3) == 300


async def test_a_call_without_a_limit_of_output_is_given_one_where_a_budget_applies(spender: Spender) -> None:
    free = await spender.ask(max_tokens=None)
    await spender.limit(tokens=1_000_000)

    assert free is None
    assert await spender.ask(max_tokens=None) == 8_192


async def test_every_budget_that_applies_has_to_have_room(spender: Spender) -> None:
    await spender.limit(tokens=5_000)
    await spender.limit(Scope.PROJECT, tokens=5_000)
    await spender.limit(Scope.AGENT, Period.DAY, tokens=300)

    refusal = await refused(spender.ask())

    assert "daily budget of the agent" in str(refusal)
    assert await spender.counted() == [(0, 0)] * 3


async def test_a_day_ends_at_midnight_and_a_call_belongs_to_the_day_in_which_it_began(spender: Spender) -> None:
    spender.moments.append(NEW_YEARS_EVE)
    await spender.limit(Scope.ORGANIZATION, Period.DAY, tokens=READ + 1_000)

    async with spender.metering.call(spender.caller, model="scripted/script", request=ASKED) as meter:
        full = await refused(spender.ask())
        spender.moments.append(NEW_YEARS_EVE + timedelta(seconds=1))
        await spender.ask(7)
        meter.used(input_tokens=900)

    # The first is the day on which the budget was made.
    days = {found.starts_at.date(): found.spent_tokens for found in await spender.periods()}
    assert full.code == "budget_reserved"
    assert (days[NEW_YEARS_EVE.date()], days[spender.moments[-1].date()]) == (900, 7)


async def test_what_a_parent_may_use_limits_what_it_has_started(spender: Spender) -> None:
    organization_id = spender.shop.organization_id
    parent = await spender.shop.read(await spender.shop.start())
    async with spender.shop.database.tenant(organization_id) as session:
        session.add(
            Budget(
                organization_id=organization_id,
                project_id=spender.project_id,
                execution_id=parent.id,
                period="total",
                tokens=READ + 1_000,
                imposed=False,
            )
        )
        await session.execute(
            update(Execution).where(Execution.id == spender.caller.execution_id).values(ancestor_ids=[parent.id])
        )
    await spender.ask(900)

    refusal = await refused(spender.ask())

    assert "budget of the execution" in str(refusal)


async def test_what_the_operator_imposes_counts_beside_the_budget_of_the_organization(spender: Spender) -> None:
    await spender.limit(period=Period.DAY, tokens=10_000)
    async with spender.shop.database.tenant(spender.shop.organization_id) as session:
        await budgets.impose(session, spender.shop.organization_id, [ImposedBudget(period=Period.DAY, tokens=100)])

    assert (await refused(spender.ask())).code == "budget_exceeded"


async def test_what_another_organization_may_use_limits_nobody_else(spender: Spender, database: Database) -> None:
    async with database.tenant(None) as session:
        other = await organizations.create(session, OrganizationCreate(name="Globex", slug="globex"))
        await budgets.create(session, other.id, BudgetCreate(scope=Scope.ORGANIZATION, period=Period.TOTAL, tokens=0))

    assert await spender.ask(5) is None


async def test_an_execution_that_has_ended_calls_no_model(spender: Spender) -> None:
    claim = await spender.shop.claim(await spender.shop.start())
    ended = ExecutionPrincipal(spender.shop.organization_id, claim.execution_id, claim.fence, model="scripted/script")
    await spender.shop.finish(claim, FinalStatus.COMPLETED)

    call = spender.metering.call(ended, model="scripted/script", request=ASKED)

    assert (await refused(call.__aenter__())).code == "execution_ended"


async def test_what_the_provider_refused_costs_nothing_and_counts_as_a_call(spender: Spender) -> None:
    await spender.limit(tokens=10_000)

    async def refused_by_the_provider() -> None:
        async with spender.metering.call(spender.caller, model="scripted/script", request=ASKED):
            raise ModelError("No.", status=400, code="refused")

    await refused(refused_by_the_provider())

    assert [call.outcome for call in await spender.calls()] == ["refused"]
    assert await spender.counted() == [(0, 0)]


async def test_a_stream_that_broke_costs_its_request_and_what_has_arrived(spender: Spender) -> None:
    streamed = ASKED | {"stream": True}
    await spender.limit(tokens=10_000)

    async def broken_off() -> None:
        async with spender.metering.call(spender.caller, model="scripted/script", request=streamed) as meter:
            meter.received("Hello")
            meter.received(" you")
            raise ModelError("It broke off.", status=502, code="stream_interrupted")

    await refused(broken_off())

    [(spent, reserved)] = await spender.counted()
    assert (spent, reserved) == (input_bound(streamed, KnownModel()) + 9, 0)


async def test_a_caller_that_leaves_while_room_is_reserved_leaves_nothing_behind(spender: Spender) -> None:
    await spender.limit(tokens=10_000)
    holding = spender.shop.database.tenant(spender.shop.organization_id)
    session = await holding.__aenter__()
    await session.execute(select(Execution).where(Execution.id == spender.caller.execution_id).with_for_update())
    call = asyncio.create_task(spender.ask())
    await waiting_for_a_lock(spender.shop.database)

    call.cancel()
    await asyncio.wait([call])
    await holding.__aexit__(None, None, None)
    await spender.metering.stop()

    assert call.cancelled()
    assert [found.outcome for found in await spender.calls()] == ["refused"]
    assert await spender.counted() == [(0, 0)]


async def test_what_a_killed_process_had_reserved_is_spent_when_its_time_is_over(
    spender: Spender, test_database: TestDatabase
) -> None:
    await spender.limit(tokens=10_000)
    caller = spender.caller
    names = (
        test_database.url,
        str(caller.organization_id),
        str(caller.execution_id),
        str(caller.fence),
        json.dumps(ASKED),
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _RESERVES_AND_WAITS, *names, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout
    said = await process.stdout.readline()

    os.kill(process.pid, signal.SIGKILL)
    await process.wait()
    too_early = await settle_lost(spender.shop.database)
    held = await spender.counted()
    late = datetime.now(UTC) + LONGEST_CALL + timedelta(minutes=1)
    in_time = await settle_lost(spender.shop.database, now=late)
    again = await settle_lost(spender.shop.database, now=late)

    assert said == b"reserved\n"
    assert (too_early, held) == (0, [(0, READ + 1_000)])
    assert (in_time, again, await spender.counted()) == (1, 0, [(READ + 1_000, 0)])
    assert [call.outcome for call in await spender.calls()] == ["lost"]


async def test_a_call_that_was_given_up_and_ends_after_all_is_put_right(spender: Spender) -> None:
    await spender.limit(tokens=10_000)
    late = datetime.now(UTC) + LONGEST_CALL + timedelta(minutes=1)

    async with spender.metering.call(spender.caller, model="scripted/script", request=ASKED) as meter:
        await settle_lost(spender.shop.database, now=late)
        given_up = await spender.counted()
        meter.used(input_tokens=11, output_tokens=3)

    assert given_up == [(READ + 1_000, 0)]
    assert await spender.counted() == [(14, 0)]
    assert [call.outcome for call in await spender.calls()] == ["completed"]


async def waiting_for_a_lock(database: Database) -> None:
    """Until some statement waits for another transaction."""
    async with database.engine.connect() as connection:
        while not await connection.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")):  # noqa: ASYNC110 - PostgreSQL tells nobody
            await asyncio.sleep(0)


_RESERVES_AND_WAITS = """
import asyncio
import json
import sys
from uuid import UUID

from control_plane.auth.principals import ExecutionPrincipal
from control_plane.db import Database
from control_plane.llm.metering import Metering

url, organization, execution, fence, asked = sys.argv[1:]

async def main():
    caller = ExecutionPrincipal(UUID(organization), UUID(execution), int(fence), model="scripted/script")
    async with Metering(Database(url, pool_size=1)).call(caller, model="scripted/script", request=json.loads(asked)):
        print("reserved", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""
