"""What a worker or a flow run may write: bodies rebuilt from these fields, so that nothing else reaches Prefect.

What no Prefect client sends is refused; fields that it does send but that only Prefect itself may decide, such as ids
in the details of a state, are left out.
"""

from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar
from uuid import UUID

from fastapi import Depends, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, JsonValue, RootModel, StringConstraints, ValidationError

from control_plane.problems import MalformedJson

MOST_LOGS = 5_000
"""Lines in one request. Prefect's clients bound their batches by size, and so does this server."""

MOST_EVENTS = 500
"""Events in one request."""

StateType = Literal[
    "SCHEDULED", "PENDING", "RUNNING", "COMPLETED", "FAILED", "CANCELLED", "CRASHED", "PAUSED", "CANCELLING"
]
Name = Annotated[str, Field(max_length=500)]
Text = Annotated[str, Field(max_length=100_000)]
Labels = dict[
    Annotated[str, StringConstraints(pattern=r"^prefect\.(worker|work-pool)\.[a-z.-]{1,50}$")],
    Annotated[str, Field(max_length=500)],
]


class _Body(BaseModel):
    """Named fields and no others; sent on as they came, and not at all where they didn't."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    def encoded(self) -> bytes:
        """As JSON."""
        return self.__pydantic_serializer__.to_json(self, exclude_unset=True)


class StateDetails(_Body):
    """What a client may say about a state. Ids of runs, results, leases and caches are Prefect's to fill in."""

    model_config = ConfigDict(extra="ignore")

    scheduled_time: datetime | None = None
    pause_timeout: datetime | None = None
    pause_reschedule: bool = False
    pause_key: Name | None = None
    untrackable_result: bool = False
    deferred: bool | None = None
    retriable: bool | None = None
    refresh_cache: bool | None = None
    transition_id: UUID | None = None
    traceparent: Name | None = None


class Result(_Body):
    """Where a flow run on this worker kept its result: a note for itself, without a way to blocks."""

    model_config = ConfigDict(extra="ignore")

    type: Name | None = None
    storage_key: Name | None = None
    expiration: datetime | None = None
    serializer: dict[str, JsonValue] | None = None
    prefect_version: Name | None = None


class State(_Body):
    """A state that a run shall have."""

    type: StateType
    name: Name | None = None
    message: Text | None = None
    data: Result | None = None
    state_details: StateDetails = StateDetails()


class SetState(_Body):
    """A change of state. `force` overrides Prefect's rules of transition, for this run alone."""

    state: State
    force: bool = False


class RetryPolicy(_Body):
    """How a flow run repeats itself."""

    max_retries: int = 0
    retry_delay_seconds: float = 0
    retries: int | None = None
    retry_delay: int | list[int] | None = None
    pause_keys: list[Name] | None = Field(default=None, max_length=1_000)
    resuming: bool | None = None
    retry_type: Literal["in_process", "reschedule"] | None = None


class FlowRunPatch(_Body):
    """What a worker notes about a flow run. Parameters, tags and job variables are the control plane's alone."""

    infrastructure_pid: Name | None = None
    flow_version: Name | None = None
    empirical_policy: RetryPolicy = RetryPolicy()


class FlowRunLabels(RootModel[Labels]):
    """Which worker and work pool a flow run is on."""

    root: Labels = Field(max_length=20)

    def encoded(self) -> bytes:
        """As JSON."""
        return self.model_dump_json().encode()


class ScheduledRuns(_Body):
    """A worker's poll. Of which queue it may ask is decided by its session."""

    work_queue_names: list[Name] | None = Field(default=None, max_length=200)
    scheduled_before: datetime | None = None
    scheduled_after: datetime | None = None
    limit: int | None = Field(default=None, ge=1, le=200)


class _Lenient(_Body):
    model_config = ConfigDict(extra="ignore")


class _Ids(_Lenient):
    any_: list[UUID] = Field(max_length=200)


class _StateTypes(_Lenient):
    any_: list[StateType] = Field(max_length=20)


class _StateNames(_Lenient):
    any_: list[Name] = Field(max_length=20)


class _StateFilter(_Lenient):
    type: _StateTypes | None = None
    name: _StateNames | None = None


class _FlowRunFilter(_Lenient):
    id: _Ids
    state: _StateFilter | None = None


class FlowRunSearch(_Lenient):
    """Which of these flow runs are in one of these states: how clients look where WebSockets don't get through.

    Prefect knows many more criteria. They only ever narrow, so they are left out: who asks gets what it named.
    """

    flow_runs: _FlowRunFilter


class QueueList(_Body):
    """Which queues of its pool a worker wants to see. They are few: a filter would narrow what is already narrow."""

    model_config = ConfigDict(extra="ignore")

    limit: int | None = Field(default=None, ge=0, le=200)
    offset: int | None = Field(default=None, ge=0)


class WorkerHeartbeat(_Body):
    """A worker's sign of life where WebSockets don't get through."""

    name: Name
    heartbeat_interval_seconds: int | None = Field(default=None, ge=1, le=86_400)


class LogLine(_Body):
    """One line of a flow run's log."""

    name: Name
    level: int
    message: str = Field(max_length=1_000_000)
    timestamp: datetime
    flow_run_id: UUID
    task_run_id: UUID | None = None


class Logs(RootModel[list[LogLine]]):
    """Lines of logs."""

    root: list[LogLine] = Field(max_length=MOST_LOGS)

    def encoded(self) -> bytes:
        """As JSON."""
        return self.model_dump_json().encode()


class Events(RootModel[list[dict[str, JsonValue]]]):
    """What happened; `prefect_gateway.events` looks into each."""

    root: list[dict[str, JsonValue]] = Field(max_length=MOST_EVENTS)


Written = TypeVar("Written", bound=BaseModel)


def read(kind: type[Written]) -> Callable[[Request], Coroutine[Any, Any, Written]]:
    """A dependency that reads the request's body strictly, as bytes: twice as fast as by way of Python's objects."""

    async def parsed(request: Request) -> Written:
        try:
            return kind.model_validate_json(await request.body())
        except ValidationError as error:
            found = error.errors(include_url=False, include_input=False)
            if found[0]["type"] == "json_invalid":
                raise MalformedJson(f"The body isn't JSON: {found[0]['ctx']['error']}.") from None
            raise RequestValidationError([{**item, "loc": ("body", *item["loc"])} for item in found]) from None

    return parsed


StateBody = Annotated[SetState, Depends(read(SetState))]
PatchBody = Annotated[FlowRunPatch, Depends(read(FlowRunPatch))]
LabelsBody = Annotated[FlowRunLabels, Depends(read(FlowRunLabels))]
ScheduledBody = Annotated[ScheduledRuns, Depends(read(ScheduledRuns))]
QueuesBody = Annotated[QueueList, Depends(read(QueueList))]
HeartbeatBody = Annotated[WorkerHeartbeat, Depends(read(WorkerHeartbeat))]
SearchBody = Annotated[FlowRunSearch, Depends(read(FlowRunSearch))]
LogsBody = Annotated[Logs, Depends(read(Logs))]
EventsBody = Annotated[Events, Depends(read(Events))]
