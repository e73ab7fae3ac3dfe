"""How much may be used, and how much of it is."""

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import BigInteger, Numeric, text
from sqlalchemy.orm import Mapped, mapped_column

from control_plane.db import Base, Resource, TenantOwned


class Budget(Base, Resource, TenantOwned):
    """A limit in tokens, in USD or in both, of one place: an execution, an agent or a project, else the organization.

    `imposed` are those of the operator, which the organization can't change.
    """

    __tablename__ = "budgets"

    project_id: Mapped[UUID | None]
    agent_id: Mapped[UUID | None]
    execution_id: Mapped[UUID | None]
    period: Mapped[str]
    tokens: Mapped[int | None] = mapped_column(BigInteger)
    usd: Mapped[Decimal | None] = mapped_column(Numeric(18, 6))
    imposed: Mapped[bool]


class BudgetPeriod(Base, TenantOwned):
    """What was spent of a budget in one period, and what calls under way hold. The first call of a period makes it."""

    __tablename__ = "budget_periods"

    organization_id: Mapped[UUID] = mapped_column(primary_key=True)
    budget_id: Mapped[UUID] = mapped_column(primary_key=True)
    starts_at: Mapped[datetime] = mapped_column(primary_key=True)
    reserved_tokens: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    reserved_usd: Mapped[Decimal] = mapped_column(server_default=text("0"))
    spent_tokens: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    spent_usd: Mapped[Decimal] = mapped_column(server_default=text("0"))
