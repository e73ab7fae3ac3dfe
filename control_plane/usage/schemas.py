"""REST bodies of usage."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, Field, PlainSerializer, WithJsonSchema

UsdRead = Annotated[Decimal, PlainSerializer(float, return_type=float), WithJsonSchema({"type": "number"})]
"""US dollars."""


class Group(StrEnum):
    """What usage can be told apart by."""

    PROJECT = "project"
    ENVIRONMENT = "environment"
    AGENT = "agent"
    PROVIDER = "provider"
    MODEL = "model"


class Bucket(StrEnum):
    """Into which stretches of time usage can be divided. They are those of UTC."""

    HOUR = "hour"
    DAY = "day"
    MONTH = "month"


class UsageRead(BaseModel):
    """What was used of models. What the answer isn't grouped by is null."""

    starts_at: datetime | None = Field(description="When its hour, day or month began.")
    project_id: UUID | None
    environment_id: UUID | None
    agent_id: UUID | None
    provider: str | None
    model: str | None
    calls: int = Field(description="Calls that have ended.")
    failed_calls: int = Field(description="Those of them that were refused, broke off or were lost.")
    unpriced_calls: int = Field(description="Those whose price wasn't known: `cost_usd` is without them.")
    input_tokens: int = Field(description="Everything that models read, from caches too.")
    output_tokens: int
    cached_input_tokens: int = Field(description="The part of the input that came from a provider's cache.")
    cache_write_tokens: int = Field(description="The part of the input that was written into one.")
    cost_usd: UsdRead
