"""Metering: what a model call may cost is reserved before it, and what it has cost is settled after it.

Every dialect of the gateway opens one `Metering.call` around each attempt at a provider, a fallback's too, since models
differ in price:

    async with metering.call(caller, model="openai/gpt-4o", request=passed, dialect="openai") as meter:
        answer = await gateway.complete(meter.limited(passed))   # or chunks: meter.received(text) for each
        meter.heard(answer["usage"])                             # OpenAI's shapes and Anthropic's; the last one counts

Leaving the block settles, and waits for that, so that the caller's next call finds the room that is left: a stream
leaves it before it sends its last line. Who streams must see to it that the block is left though nobody ever reads the
stream (`StreamingResponse` may never start its iterator): see `control_plane.llm.closing_stream`.

A call that the provider refused, or that never reached it, costs nothing. One that broke off, or whose provider
doesn't say what it used, costs the larger of what is known and what it can have been: all that was reserved, for an
answer that comes as a whole; for a stream, the request and what has arrived. If this process dies, the reconciler
settles what it had reserved as if all of it had been used, once `LONGEST_CALL` is over.

Overspending is impossible as long as providers count no more tokens than a request has bytes and obey its limit of
output. Days and months are those of UTC, and a call belongs to those in which it began.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy.exc import SQLAlchemyError

from control_plane.auth.principals import ExecutionPrincipal
from control_plane.db import Database
from control_plane.llm import bounds
from control_plane.llm.meter import Meter
from control_plane.llm.prices import KnownModel, ModelPrice, Price, known
from control_plane.llm.refusals import refusal

__all__ = ["LONGEST_CALL", "Meter", "Metering", "settle_lost"]

logger = logging.getLogger(__name__)

LONGEST_CALL = timedelta(minutes=30)
"""After this time a call counts as lost together with the process that made it. One that ends later is put right."""

_COMFORTABLE_OUTPUT = 4_096
"""If a budget has no room for all the output that a call may have, it is lowered, while others hold room: to this. Few
answers are longer. For less than this the call waits for the others: 429 with `Retry-After`."""

_LEAST_OUTPUT = 256
"""When nobody holds room, output is lowered to this at the least: less makes no answer."""

_SETTLE_AGAIN_AFTER_SECONDS = (0.2, 1.0, 5.0)

_RESERVE = (
    "SELECT * FROM reserve_model_call(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s,"
    " coalesce(%s::timestamptz, clock_timestamp()), %s)"
)
_SETTLE = "SELECT settle_model_call(%s, %s, %s, %s, %s, %s, %s, %s, %s, coalesce(%s::timestamptz, clock_timestamp()))"
_NOTHING = (0, 0, 0, 0, None, None, None)


def _no_clock() -> None:
    return None


class Metering:
    """Reserves and settles, through one database. `clock` stands in for the database's own."""

    def __init__(
        self, database: Database, *, longest: timedelta = LONGEST_CALL, clock: Callable[[], datetime | None] = _no_clock
    ) -> None:
        self._database = database
        self._longest = longest
        self._clock = clock
        self._known: dict[str, KnownModel] = {}
        self._under_way: set[asyncio.Task[Any]] = set()

    async def stop(self) -> None:
        """Wait until what has ended is settled."""
        await asyncio.gather(*self._under_way, return_exceptions=True)

    @asynccontextmanager
    async def call(
        self,
        caller: ExecutionPrincipal,
        *,
        model: str,
        request: Mapping[str, Any],
        dialect: str = "openai",
        provider: str | None = None,
        price: ModelPrice | None = None,
        priced_as: str | None = None,
    ) -> AsyncIterator[Meter]:
        """Reserve for one attempt at a provider, and settle it at the end of the block.

        `model` is `provider/model` as people call it, `request` what will be sent (in any dialect), `price` what the
        organization says it pays, and `priced_as` the model's name in LiteLLM's list if that is another. Raises
        `ModelError`: 402 `budget_exceeded` if a budget has no room; 429 `budget_reserved` if it would have if calls
        under way came to less than they may; 400 `price_unknown`; 403 `execution_ended`.
        """
        about = await self._about(priced_as or model)
        if price:
            about = replace(about, price=Price.said(price))
        provider = provider or model.split("/", 1)[0]
        meter = await self._reserve(caller, request, model=model, dialect=dialect, provider=provider, about=about)
        try:
            yield meter
        except BaseException as error:
            meter.failed(error)
            raise
        finally:
            await self._apart(self._settle(caller.organization_id, meter))

    async def _reserve(
        self,
        caller: ExecutionPrincipal,
        request: Mapping[str, Any],
        *,
        model: str,
        dialect: str,
        provider: str,
        about: KnownModel,
    ) -> Meter:
        stated = bounds.stated_output(request)
        choices = bounds.choices(request)
        output = stated or (about.most_output or bounds.DEFAULT_OUTPUT) * choices
        meter = Meter(
            id=uuid4(),
            model=model,
            provider=provider,
            price=about.price,
            input_bound=bounds.input_bound(request, about),
            granted_output=output,
            output_limit=None,
            streamed=bool(request.get("stream")),
        )
        reserving = asyncio.create_task(self._ask(caller, meter, dialect=dialect))
        try:
            verdict = await asyncio.shield(reserving)
        except asyncio.CancelledError:
            meter.outcome = "refused"
            self._begin(self._take_back(caller.organization_id, meter, reserving))
            raise
        if verdict["verdict"] != "granted":
            raise refusal(verdict, model=model)
        meter.granted_output = verdict["granted"]
        someone_must_limit = stated is None and about.most_output is None
        if verdict["limited"] and (meter.granted_output < output or someone_must_limit):
            meter.output_limit = max(1, meter.granted_output // choices)
        return meter

    async def _about(self, model: str) -> KnownModel:
        if model not in self._known:
            # LiteLLM may still be loading.
            self._known[model] = await asyncio.to_thread(known, model)
        return self._known[model]

    async def _ask(self, caller: ExecutionPrincipal, meter: Meter, *, dialect: str) -> Mapping[str, Any]:
        price = meter.price
        rows = await self._database.once(
            caller.organization_id,
            _RESERVE,
            (
                *(meter.id, caller.execution_id, caller.fence, meter.model, meter.provider, dialect),
                *(meter.input_bound, meter.granted_output, _COMFORTABLE_OUTPUT, _LEAST_OUTPUT),
                *(price and price.dearest_input * meter.input_bound, price and price.dearest_output),
                *(self._clock(), self._longest),
            ),
        )
        return rows[0]

    async def _take_back(self, organization_id: UUID, meter: Meter, reserving: asyncio.Task[Mapping[str, Any]]) -> None:
        # The caller left while we reserved: nothing was sent.
        if (await reserving)["verdict"] == "granted":
            await self._settle(organization_id, meter)

    async def _settle(self, organization_id: UUID, meter: Meter) -> None:
        counts, cost = meter.totals(), meter.cost()
        values = (
            *(meter.id, meter.outcome, counts.input, counts.output, counts.cached_input, counts.cache_write, cost),
            *(meter.model, meter.provider, self._clock()),
        )
        for wait in (*_SETTLE_AGAIN_AFTER_SECONDS, None):
            try:
                await self._database.once(organization_id, _SETTLE, values)
            except SQLAlchemyError as error:
                logger.warning("a model call could not be settled: %s", type(error).__name__)
                if wait is None:
                    return  # the reconciler will
                await asyncio.sleep(wait)
            else:
                return

    async def _apart(self, work: Any) -> None:
        # In a task of its own: whoever leaves because the caller has gone is cancelled again and again meanwhile.
        await asyncio.shield(self._begin(work))

    def _begin(self, work: Any) -> asyncio.Task[Any]:
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return task


async def settle_lost(database: Database, *, now: datetime | None = None, most: int = 100) -> int:
    """Settle the calls of processes that are gone, as if they had used all that they had reserved; how many."""
    moment = now or datetime.now(UTC)
    async with database.tenant(None) as session:
        connection = await session.connection()
        found = (await connection.exec_driver_sql("SELECT * FROM model_calls_to_settle(%s, %s)", (moment, most))).all()
    for row in found:
        await database.once(row.organization_id, _SETTLE, (row.id, "lost", *_NOTHING, moment))
    return len(found)
