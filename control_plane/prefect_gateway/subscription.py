"""Events on their way out of Prefect: of a subscription, what is within the scope."""

import logging
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import to_json

logger = logging.getLogger(__name__)

OFFERED = ("prefect.flow-run.Cancelling", "prefect.flow-run.Suspended")
"""What workers and flow runs wait for."""

_FLOW_RUN = "prefect.flow-run."


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)


class _Names(_Part):
    name: list[str] = Field(max_length=100)


class _Occurred(_Part):
    since: str = Field(max_length=50)
    until: str = Field(max_length=50)


class _Filter(_Part):
    event: _Names
    occurred: _Occurred


class _Subscribe(_Part):
    type: Literal["filter"]
    filter: _Filter
    backfill: bool = True


class _Resource(_Part):
    id: Annotated[str, Field(alias="prefect.resource.id")]


class _Told(_Part):
    event: str
    resource: _Resource
    related: list[_Resource] = []


class _Message(_Part):
    type: Literal["event"]
    event: _Told


class NothingOffered(Exception):
    """The subscription asks for events that aren't served here."""


class EventsOut:
    """What one connection may hear of a work pool. Which of its flow runs are within the scope is asked elsewhere."""

    def __init__(self, work_pool_id: UUID) -> None:
        self._pool = f"prefect.work-pool.{work_pool_id}"

    def narrowed(self, text: str) -> str:
        """A client's filter, rebuilt: the offered events of its pool. Raises `NothingOffered`."""
        try:
            asked = _Subscribe.model_validate_json(text)
        except ValidationError as error:
            raise NothingOffered("subscribe with a filter that names events") from error
        names = [name for name in asked.filter.event.name if name in OFFERED]
        if not names:
            raise NothingOffered(f"subscribe to {' or '.join(OFFERED)}")
        narrow = {
            "occurred": asked.filter.occurred.model_dump(),
            "event": {"name": names},
            "related": {"id": [self._pool]},
        }
        return to_json({"type": "filter", "backfill": asked.backfill, "filter": narrow}).decode()

    def heard(self, text: str) -> UUID | None:
        """The flow run that an event of Prefect's speaks of, if it is one on the pool; else the event is not for us."""
        try:
            told = _Message.model_validate_json(text).event
        except ValidationError:
            logger.warning("Prefect sent something else than an event")
            return None
        if told.event not in OFFERED or self._pool not in {one.id for one in told.related}:
            return None
        return UUID(told.resource.id.removeprefix(_FLOW_RUN))
