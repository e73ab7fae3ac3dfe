"""The frames of a worker's channel, rebuilt so that a worker says that it is alive and changes nothing."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from control_plane.prefect_gateway.scope import Scope

LARGEST_FRAME = 262_144
"""Characters. The hello of Prefect's own worker holds its default job template, some five thousand."""

Name = Annotated[str, Field(min_length=1, max_length=500)]
Seconds = Annotated[int, Field(ge=1, le=86_400)]


class FrameRefused(Exception):
    """The frame isn't one of those that are served here."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)


class _Hello(_Part):
    consumer_id: UUID
    worker_name: Name
    worker_type: Name
    heartbeat_interval_seconds: Seconds
    supported_channel_versions: list[Name] = Field(max_length=20)


class _HelloFrame(_Part):
    type: Literal["worker.hello.v1"]
    id: UUID
    sent_at: datetime
    payload: _Hello


class _Heartbeat(_Part):
    consumer_id: UUID
    worker_name: Name
    heartbeat_interval_seconds: Seconds


class _HeartbeatFrame(_Part):
    type: Literal["worker.heartbeat.v1"]
    id: UUID
    sent_at: datetime
    payload: _Heartbeat


_Frame: TypeAdapter[_HelloFrame | _HeartbeatFrame] = TypeAdapter(
    Annotated[_HelloFrame | _HeartbeatFrame, Field(discriminator="type")]
)


def narrowed(scope: Scope, text: str) -> str:
    """A frame as Prefect may read it. Raises `FrameRefused`.

    Left out of a hello are the wish to make a missing pool, the worker's own job template, which Prefect would store
    in a pool that has none, and the delivery of clean-up work, for which the control plane has leases.
    """
    if len(text) > LARGEST_FRAME:
        raise FrameRefused
    try:
        frame = _Frame.validate_json(text)
    except ValidationError as error:
        raise FrameRefused from error
    if isinstance(frame, _HeartbeatFrame):
        return frame.model_dump_json()
    told = frame.model_dump(mode="json")
    told["payload"] |= {
        "requested_capabilities": ["worker_heartbeat.v1", "work_pool_snapshot.v1"],
        "work_queue_names": [scope.work_queue] if scope.work_queue else [],
        "create_pool_if_not_found": False,
    }
    return TypeAdapter(dict).dump_json(told).decode()
