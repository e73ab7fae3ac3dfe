"""REST bodies of events."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from control_plane.wire.executions import EventType


class EventRead(BaseModel):
    """One event. `number` is the `id` that the stream sends and `Last-Event-ID` expects."""

    model_config = ConfigDict(from_attributes=True)

    number: int
    type: EventType
    data: dict[str, Any]
    created_at: datetime
