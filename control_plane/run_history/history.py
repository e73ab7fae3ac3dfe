"""What people read of Prefect, each call within their scope."""

import asyncio
import logging
from typing import Annotated, Any
from uuid import UUID

import httpx
from pydantic import BaseModel, Field, JsonValue
from pydantic_core import from_json, to_json

from control_plane.prefect_gateway.upstream import Upstream
from control_plane.problems import Invalid, NotFound
from control_plane.run_history.belonging import Belonging
from control_plane.run_history.calls import NARROWED, Way
from control_plane.run_history.narrowing import Asked, Filter, by_work_pools
from control_plane.run_history.scope import Scope

logger = logging.getLogger(__name__)

_MOST_NAMED = 50
"""Flow runs or task runs whose logs are asked for at once, and flows whose runs are counted: the UI names one."""


class Logs(BaseModel):
    """Which lines: some of certain flow runs, or of task runs of theirs."""

    logs: Filter
    sort: str | None = Field(None, max_length=100)
    limit: int | None = Field(None, ge=0, le=1000)
    offset: int | None = Field(None, ge=0)


class FlowRunIds(BaseModel):
    """Some flow runs."""

    flow_run_ids: Annotated[list[UUID], Field(max_length=200)]


class FlowIds(BaseModel):
    """Some flows."""

    flow_ids: Annotated[list[UUID], Field(max_length=_MOST_NAMED)]


class _Ids(BaseModel):
    any_: Annotated[list[UUID], Field(max_length=_MOST_NAMED)]


class RunHistory:
    """One instance serves a whole process. It never writes; whatever isn't within the scope raises `NotFound`."""

    def __init__(self, upstream: Upstream) -> None:
        self.upstream = upstream
        self.belonging = Belonging(upstream)

    async def listed(self, scope: Scope, path: str, asked: Asked) -> bytes:
        """The answer to one of the `NARROWED` calls."""
        way = NARROWED[path]
        response = _understood(await self.upstream.post(path, way.narrow(scope, asked)))
        return _checked(scope, way, response.content) if way.pool_field else response.content

    async def within_flow_run(self, scope: Scope, flow_run_id: UUID, path: str) -> httpx.Response:
        """Something that is read of one flow run."""
        await self.belonging.check_flow_run(scope, flow_run_id)
        return _understood(await self.upstream.get(f"/flow_runs/{flow_run_id}{path}"))

    async def states_of_flow_run(self, scope: Scope, flow_run_id: UUID) -> httpx.Response:
        """The states that a flow run has been in."""
        await self.belonging.check_flow_run(scope, flow_run_id)
        return _understood(await self.upstream.get(f"/flow_run_states/?flow_run_id={flow_run_id}"))

    async def states_of_task_run(self, scope: Scope, task_run_id: UUID) -> httpx.Response:
        """The states that a task run has been in."""
        await self.belonging.flow_run_of(scope, task_run_id)
        return _understood(await self.upstream.get(f"/task_run_states/?task_run_id={task_run_id}"))

    async def task_run(self, scope: Scope, task_run_id: UUID, prefix: str) -> httpx.Response:
        """A task run as it is now; the UI's form of it has the name of its flow run."""
        await self.belonging.flow_run_of(scope, task_run_id)
        return _understood(await self.upstream.get(f"{prefix}/task_runs/{task_run_id}"))

    async def work_pool(self, scope: Scope, name: str) -> httpx.Response:
        """A work pool as it is now."""
        self.belonging.check_work_pool(scope, name)
        return _understood(await self.upstream.get(f"/work_pools/{name}"))

    async def within_work_pool(self, scope: Scope, name: str, path: str, asked: Asked) -> httpx.Response:
        """A list of what belongs to one work pool."""
        self.belonging.check_work_pool(scope, name)
        body = asked.model_dump(exclude_none=True, include={"work_queues", "workers", "limit", "offset"})
        return _understood(await self.upstream.post(f"/work_pools/{name}{path}", to_json(body)))

    async def work_queue(self, scope: Scope, work_pool: str, name: str) -> dict[str, Any]:
        """A queue of a work pool, by its name."""
        self.belonging.check_work_pool(scope, work_pool)
        asked = {"work_queues": {"name": {"any_": [name]}}}
        response = _understood(await self.upstream.post(f"/work_pools/{work_pool}/queues/filter", to_json(asked)))
        for row in from_json(response.content):
            if row["name"] == name:
                found: dict[str, Any] = row
                return found
        raise NotFound.of("work queue", name)

    async def logs(self, scope: Scope, asked: Logs) -> httpx.Response:
        """Lines of flow runs, each of which is within the scope."""
        given = asked.logs
        if given.get("operator", "and_") != "and_":
            raise Invalid("Only and_ is served here.", location="body.logs.operator")
        flow_runs = _ids("flow_run_id", given.get("flow_run_id"))
        if flow_runs is None:
            task_runs = _ids("task_run_id", given.get("task_run_id"))
            if task_runs is None:
                raise Invalid("Name the flow runs or task runs.", location="body.logs.flow_run_id.any_")
            flow_runs = [await self.belonging.flow_run_of(scope, one) for one in task_runs]
        for one in flow_runs:
            await self.belonging.check_flow_run(scope, one)
        narrowed = given | {"operator": "and_", "flow_run_id": {"any_": [str(one) for one in flow_runs]}}
        if not flow_runs:
            raise Invalid("Name at least one.", location="body.logs.flow_run_id.any_")
        body = asked.model_dump(exclude_none=True) | {"logs": narrowed}
        return _understood(await self.upstream.post("/logs/filter", to_json(body)))

    async def count_task_runs(self, scope: Scope, asked: FlowRunIds) -> bytes:
        """How many task runs each of some flow runs has. One that isn't within the scope has none."""
        own = await self.belonging.among(scope, asked.flow_run_ids)
        counts: dict[str, int] = {str(one): 0 for one in asked.flow_run_ids}
        if own:
            response = await self.upstream.post("/ui/flow_runs/count-task-runs", to_json({"flow_run_ids": own}))
            counts |= from_json(_understood(response).content)
        return to_json(counts)

    async def count_deployments(self, scope: Scope, asked: FlowIds) -> bytes:
        """How many deployments each of some flows has on the scope's work pools."""

        async def count(flow_id: UUID) -> int:
            narrowed = by_work_pools(scope, Asked(flows={"id": {"any_": [str(flow_id)]}}))
            found: int = from_json(_understood(await self.upstream.post("/deployments/count", narrowed)).content)
            return found

        flow_ids = list(dict.fromkeys(asked.flow_ids))
        counts = await asyncio.gather(*(count(one) for one in flow_ids))
        return to_json(dict(zip(map(str, flow_ids), counts, strict=True)))

    async def next_runs(self, scope: Scope, asked: FlowIds) -> bytes:
        """The next flow run of each of some flows on the scope's work pools."""

        async def following(flow_id: UUID) -> dict[str, Any] | None:
            narrowed = by_work_pools(
                scope,
                Asked(
                    flows={"id": {"any_": [str(flow_id)]}},
                    flow_runs={"state": {"type": {"any_": ["SCHEDULED"]}}},
                    sort="NEXT_SCHEDULED_START_TIME_ASC",
                    limit=1,
                ),
            )
            rows = from_json(_understood(await self.upstream.post("/flow_runs/filter", narrowed)).content)
            return {name: rows[0][name] for name in _NEXT_RUN} if rows else None

        flow_ids = list(dict.fromkeys(asked.flow_ids))
        runs = await asyncio.gather(*(following(one) for one in flow_ids))
        return to_json(dict(zip(map(str, flow_ids), runs, strict=True)))


_NEXT_RUN = ("id", "flow_id", "name", "state_name", "state_type", "next_scheduled_start_time")


def _checked(scope: Scope, way: Way, content: bytes) -> bytes:
    """The rows of an answer once more: whatever Prefect makes of our filter, no other pool's row gets out."""
    answer = from_json(content)
    rows = answer["results"] if isinstance(answer, dict) else answer
    foreign = [row for row in rows if row[way.pool_field] not in scope.work_pools]
    if foreign:
        logger.error("Prefect answered a narrowed filter with %s rows of other work pools", len(foreign))
        raise NotFound("Prefect answered with what isn't yours. Tell who runs this server.")
    return content


def _understood(response: httpx.Response) -> httpx.Response:
    if response.status_code == 404:
        raise NotFound("Prefect doesn't know this any more.")
    if response.status_code != 200:
        raise Invalid("Prefect doesn't take these criteria.")
    return response


def _ids(name: str, given: JsonValue) -> list[UUID] | None:
    if not isinstance(given, dict) or given.get("any_") is None:
        return None
    try:
        return _Ids.model_validate(given).any_
    except ValueError:
        raise Invalid(f"It must be a list of at most {_MOST_NAMED} UUIDs.", location=f"body.logs.{name}.any_") from None
