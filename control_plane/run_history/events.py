"""Events of the caller's work pools. What Prefect tells of a flow run or a worker names its pool."""

from datetime import timedelta
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue
from pydantic_core import from_json, to_json

from control_plane.prefect_gateway.remembered import Remembered
from control_plane.prefect_gateway.upstream import Upstream
from control_plane.problems import Invalid
from control_plane.run_history.narrowing import NOWHERE, Asked, Filter, by_work_pools
from control_plane.run_history.scope import Scope

CountOfEvents = Literal["day", "time", "event", "resource"]

_KNOWN_FOR = timedelta(seconds=10)
"""A work pool that is made anew under its old name has another id."""
_MOST_POOLS = 200
"""Prefect lists no more at once."""


class EventsAsked(BaseModel):
    """The body of a call about events."""

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    filter: Filter = {}
    limit: int | None = Field(None, ge=0, le=50)
    time_unit: str | None = Field(None, max_length=20)
    time_interval: float | None = Field(None, ge=0.01)


class Events:
    """One instance serves a whole process."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._resources: Remembered[frozenset[str], frozenset[str]] = Remembered(2_000, lifetime=_KNOWN_FOR)

    async def page(self, scope: Scope, asked: EventsAsked) -> bytes:
        """The first events that match, of the caller's work pools alone."""
        own = await self.resources(scope)
        body = {"filter": narrowed(asked.filter, own), "limit": 50 if asked.limit is None else asked.limit}
        found = await self._asked("/events/filter", body)
        events = [event for event in found["events"] if is_own(event, own)]
        return to_json({"events": events, "total": found["total"], "next_page": None})

    async def count(self, scope: Scope, countable: CountOfEvents, asked: EventsAsked) -> bytes:
        """How many events match, by what they are counted by."""
        body = asked.model_dump(exclude_none=True, include={"time_unit", "time_interval"})
        body["filter"] = narrowed(asked.filter, await self.resources(scope))
        return to_json(await self._asked(f"/events/count-by/{countable}", body))

    async def resources(self, scope: Scope) -> frozenset[str]:
        """The ids by which events name the scope's work pools."""
        known = self._resources.get(scope.work_pools)
        if known is None:
            known = frozenset[str]()
            for offset in range(0, len(scope.work_pools), _MOST_POOLS):
                asked = by_work_pools(scope, Asked(limit=_MOST_POOLS, offset=offset))
                response = await self._upstream.post("/work_pools/filter", asked)
                rows = from_json(response.content) if response.status_code == 200 else []
                known |= {f"prefect.work-pool.{row['id']}" for row in rows if row["name"] in scope.work_pools}
            self._resources.put(scope.work_pools, known)
        return known

    async def _asked(self, path: str, body: dict[str, Any]) -> Any:
        response = await self._upstream.post(path, to_json(body))
        if response.status_code != 200:
            raise Invalid("Prefect doesn't take these criteria.", location="body.filter")
        return from_json(response.content)


def narrowed(given: Filter, own: frozenset[str]) -> Filter:
    """A filter that an event passes only if it names one of our resources besides what was asked."""
    asked: JsonValue = given.get("related") or []
    names: list[JsonValue] = [*sorted(own)] or [NOWHERE]
    return given | {"related": [{"id": names}, *(asked if isinstance(asked, list) else [asked])]}


def is_own(event: dict[str, Any], own: frozenset[str]) -> bool:
    """Whether an event names one of our resources: the filter once more, by what came back."""
    return any(one["prefect.resource.id"] in own for one in (event["resource"], *event["related"]))
