"""Events on their way into Prefect, rebuilt from what its clients say about things within the scope.

Prefect's server writes task runs from these events and lets the payload override the ids that it was checked by, so
that nothing of a payload may pass that isn't named here.
"""

import logging
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from control_plane.prefect_gateway.bodies import Result, StateDetails, StateType
from control_plane.prefect_gateway.ownership import Ownership
from control_plane.prefect_gateway.scope import Scope
from control_plane.problems import NotFound

logger = logging.getLogger(__name__)

LARGEST_EVENT = 262_144
"""Characters. The events of Prefect's own clients are around two thousand."""

Name = Annotated[str, Field(max_length=500)]
Labels = Annotated[dict[Name, Annotated[str, Field(max_length=10_000)]], Field(max_length=50)]

_ID = "prefect.resource.id"
_ROLE = "prefect.resource.role"
_TASK_RUN = "prefect.task-run."
_FLOW_RUN = "prefect.flow-run."
_OF_WORKERS = ("prefect.worker.", "prefect.runner.")


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)


class _Intended(_Part):
    before: StateType | None = Field(alias="from")
    after: StateType | None = Field(alias="to")


class _State(_Part):
    type: StateType
    name: Name | None = None
    message: str | None = None
    data: Result | None = None
    state_details: StateDetails = StateDetails()


class _RetryPolicy(_Part):
    max_retries: int = 0
    retry_delay_seconds: float = 0
    retries: int | None = None
    retry_delay: int | list[int] | None = None
    retry_jitter_factor: float | None = None


class _TaskInput(_Part):
    input_type: Literal["parameter", "constant", "task_run", "flow_run"]
    id: UUID | None = None
    name: Name | None = None
    type: Name | None = None


class _TaskRun(_Part):
    name: Name
    task_key: Name
    dynamic_key: Name
    task_version: Name | None = None
    empirical_policy: _RetryPolicy = _RetryPolicy()
    tags: list[Name] = Field(default=[], max_length=100)
    labels: dict[Name, JsonValue] | None = None
    task_inputs: dict[Name, list[_TaskInput]] = {}
    run_count: int = 0
    flow_run_run_count: int = 0
    expected_start_time: datetime | None = None
    next_scheduled_start_time: datetime | None = None
    start_time: datetime | None = None
    end_time: datetime | None = None
    total_run_time: float = 0


class _TaskRunPayload(_Part):
    intended: _Intended
    initial_state: _State | None = None
    validated_state: _State
    task_run: _TaskRun


class _Event(_Part):
    occurred: datetime
    event: Annotated[str, Field(max_length=200)]
    resource: Labels
    related: list[Labels] = Field(default=[], max_length=100)
    id: UUID
    follows: UUID | None = None


class _TaskRunEvent(_Event):
    payload: _TaskRunPayload


class EventsIn:
    """Lets through what one connection may tell Prefect."""

    def __init__(self, scope: Scope, ownership: Ownership) -> None:
        self._scope = scope
        self._ownership = ownership
        self._checks: dict[str, Callable[[Scope, UUID], Awaitable[object]]] = {
            "flow-run": ownership.check_flow_run,
            "deployment": ownership.read_deployment,
            "flow": ownership.read_flow,
            "work-pool": ownership.check_work_pool_id,
            "work-queue": ownership.check_work_queue,
        }

    async def narrowed(self, text: str) -> str | None:
        """The event as Prefect may read it; None if it isn't for Prefect. Raises `Unavailable`."""
        try:
            return await self.rebuilt(text)
        except EventRefused as refusal:
            logger.warning("an event was refused: %s", refusal)
            return None

    async def rebuilt(self, text: str) -> str:
        """The event as Prefect may read it. Raises `EventRefused` and `Unavailable`."""
        if len(text) > LARGEST_EVENT:
            raise EventRefused(f"it has {len(text)} characters")
        try:
            event = _Event.model_validate_json(text)
            if event.event.startswith(_TASK_RUN):
                event = _TaskRunEvent.model_validate_json(text)
            await self._check(event)
        except (ValidationError, NotFound) as refusal:
            raise EventRefused(str(refusal)) from refusal
        if event.event.startswith(_TASK_RUN):
            return event.model_dump_json(by_alias=True, exclude_unset=True)
        # Only the events of task runs have a payload that anybody reads.
        return event.model_dump_json(by_alias=True, exclude_unset=True)[:-1] + ',"payload":{}}'

    async def _check(self, event: _Event) -> None:
        related: dict[str, str] = {}
        for labels in event.related:
            kind, identity = await self._check_related(labels)
            related.setdefault(kind, identity)
        about = event.resource.get(_ID, "")
        if event.event.startswith(_TASK_RUN) and about.startswith(_TASK_RUN) and "flow-run" in related:
            task_run_id = _uuid(about.removeprefix(_TASK_RUN))
            await self._ownership.check_task_run(self._scope, task_run_id, flow_run_id=_uuid(related["flow-run"]))
        elif event.event == "prefect.flow-run.heartbeat" and about.startswith(_FLOW_RUN):
            await self._ownership.check_flow_run(self._scope, _uuid(about.removeprefix(_FLOW_RUN)))
        elif not (
            event.event.startswith(_OF_WORKERS) and about.startswith(_OF_WORKERS) and self._scope.execution_id is None
        ):
            raise EventRefused("what happened isn't for this credential to tell")

    async def _check_related(self, labels: dict[str, str]) -> tuple[str, str]:
        kind, _, identity = labels.get(_ID, "").removeprefix("prefect.").partition(".")
        if labels.get(_ROLE) != kind or not labels[_ID].startswith("prefect."):
            raise EventRefused("a related resource isn't what its role says")
        if check := self._checks.get(kind):
            await check(self._scope, _uuid(identity))
        elif kind != "tag":
            raise EventRefused("a related resource is of a kind that isn't served here")
        return kind, identity


class EventRefused(Exception):
    """The event isn't one, or speaks about something else than what its sender may speak about."""


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise EventRefused("a resource has no UUID where it should have one") from None
