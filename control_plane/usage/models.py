"""What models were asked, and what it cost."""

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import BigInteger, Uuid
from sqlalchemy.dialects.postgresql import ARRAY, TIMESTAMP
from sqlalchemy.orm import Mapped, mapped_column

from control_plane.db import Base, Listed, TenantOwned


class ModelCall(Base, Listed, TenantOwned):
    """One call of a model: first what it may use, then what it used. Only the database's functions write it.

    It began at `created_at`. While it runs, `settle_by` is when it counts as lost. `budget_ids` and `budget_starts` are
    the periods of budgets in which it has reserved. A cost of null is unknown.
    """

    __tablename__ = "model_calls"

    project_id: Mapped[UUID]
    environment_id: Mapped[UUID]
    agent_id: Mapped[UUID]
    execution_id: Mapped[UUID | None]
    provider: Mapped[str]
    model: Mapped[str]
    dialect: Mapped[str]
    outcome: Mapped[str]
    reserved_input_tokens: Mapped[int] = mapped_column(BigInteger)
    reserved_output_tokens: Mapped[int] = mapped_column(BigInteger)
    reserved_usd: Mapped[Decimal | None]
    budget_ids: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid))
    budget_starts: Mapped[list[datetime]] = mapped_column(ARRAY(TIMESTAMP(timezone=True)))
    input_tokens: Mapped[int | None] = mapped_column(BigInteger)
    output_tokens: Mapped[int | None] = mapped_column(BigInteger)
    cached_input_tokens: Mapped[int | None] = mapped_column(BigInteger)
    cache_write_tokens: Mapped[int | None] = mapped_column(BigInteger)
    cost_usd: Mapped[Decimal | None]
    settle_by: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]


class UsageHour(Base, TenantOwned):
    """What one agent used of one model in one hour (of UTC). Reading the calls themselves would take too long."""

    __tablename__ = "usage_hours"

    organization_id: Mapped[UUID] = mapped_column(primary_key=True)
    hour: Mapped[datetime] = mapped_column(primary_key=True)
    project_id: Mapped[UUID] = mapped_column(primary_key=True)
    environment_id: Mapped[UUID] = mapped_column(primary_key=True)
    agent_id: Mapped[UUID] = mapped_column(primary_key=True)
    provider: Mapped[str] = mapped_column(primary_key=True)
    model: Mapped[str] = mapped_column(primary_key=True)
    calls: Mapped[int] = mapped_column(BigInteger)
    failed_calls: Mapped[int] = mapped_column(BigInteger)
    unpriced_calls: Mapped[int] = mapped_column(BigInteger)
    input_tokens: Mapped[int] = mapped_column(BigInteger)
    output_tokens: Mapped[int] = mapped_column(BigInteger)
    cached_input_tokens: Mapped[int] = mapped_column(BigInteger)
    cache_write_tokens: Mapped[int] = mapped_column(BigInteger)
    cost_usd: Mapped[Decimal]
