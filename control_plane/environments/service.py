"""Environments and the command that starts a worker for them."""

from typing import Any
from uuid import UUID

from pydantic import ValidationError
from sqlalchemy import ColumnElement, TableClause, column, delete, func, select, table, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.environments.models import Environment
from control_plane.environments.schemas import EnvironmentCreate, EnvironmentPatch, LlmOverride
from control_plane.organizations import service as organizations
from control_plane.organizations.models import Organization
from control_plane.pagination import Page
from control_plane.problems import AlreadyExists, Conflict, Invalid, NotFound
from control_plane.projects import service as projects
from control_plane.worker_queues.models import DEFAULT_QUEUE, WorkerQueue

# By name: agents and executions, subjects above this one, can't be imported here.
_AGENTS = table("agents", column("environment_id"), column("deleted_at"))
_EXECUTIONS = table("executions", column("environment_id"), column("finished_at"))


async def create(session: AsyncSession, organization_id: UUID, body: EnvironmentCreate) -> Environment:
    """A new environment with its first queue; its work pool follows once the row is committed.

    Raises `Invalid`, `AlreadyExists`, and `Conflict` while the work pool of an earlier one of this name still exists.
    """
    organization = await session.get_one(Organization, organization_id)
    try:
        project = await projects.get(session, body.project_id)
    except NotFound as error:
        raise Invalid(error.detail, location="body.project_id") from error
    environment = Environment(
        organization_id=organization_id,
        project_id=project.id,
        name=body.name,
        slug=body.slug,
        work_pool=f"env-{organization.slug}-{body.slug}",
        llm_override=body.llm_override.model_dump() if body.llm_override else None,
        max_workers=body.max_workers,
    )
    session.add(environment)
    try:
        await session.flush()
    except IntegrityError as error:
        raise AlreadyExists(
            f"There is an environment with the slug {body.slug} in this organization. Choose another."
        ) from error
    # After the insertion, which waits for whoever deletes an environment of this name.
    if await session.scalar(select(func.work_pool_is_abandoned(environment.work_pool))):
        raise Conflict(
            f"The work pool {environment.work_pool} of a deleted environment is still being removed from the"
            " orchestrator. Send the request again in a few seconds, or choose another slug."
        )
    session.add(
        WorkerQueue(
            organization_id=organization_id,
            project_id=project.id,
            environment_id=environment.id,
            name=DEFAULT_QUEUE,
            description="",
            priority=1,
            concurrency_limit=None,
            paused=False,
        )
    )
    await session.flush()
    return environment


async def get(session: AsyncSession, environment_id: UUID, *, lock: bool = False) -> Environment:
    """One environment, locked until the transaction ends if asked. Raises `NotFound`."""
    statement = select(Environment).where(Environment.id == environment_id)
    environment = await session.scalar(statement.with_for_update(key_share=True) if lock else statement)
    if environment is None:
        raise NotFound.of("environment", environment_id)
    return environment


async def listed(session: AsyncSession, page: Page, *, slug: str | None, project_id: UUID | None) -> list[Environment]:
    """A page of environments."""
    statement = select(Environment)
    if slug is not None:
        statement = statement.where(Environment.slug == slug)
    if project_id is not None:
        statement = statement.where(Environment.project_id == project_id)
    return await page.fetch(session, statement, Environment)


async def change(session: AsyncSession, environment: Environment, body: EnvironmentPatch) -> Environment:
    """Merge changes into a locked environment. Raises `Invalid` if only a half of an `llm_override` comes of it."""
    changes = body.changes()
    if changes.get("llm_override") is not None:
        changes["llm_override"] = _merged(environment.llm_override, changes["llm_override"])
    for name, value in changes.items():
        setattr(environment, name, value)
    await session.flush()
    return environment


def _merged(before: dict[str, Any] | None, override: dict[str, Any]) -> dict[str, Any]:
    try:
        return LlmOverride.model_validate((before or {}) | override).model_dump()
    except ValidationError as error:
        missing = error.errors()[0]["loc"][0]
        raise Invalid(
            "A new override needs a provider and a model.", location=f"body.llm_override.{missing}"
        ) from error


async def remove(session: AsyncSession, environment: Environment) -> None:
    """Delete a locked environment with its queues, worker keys and ended executions.

    Its work pool is removed by the reconciler. Raises `Conflict` while it has agents, or executions that haven't ended.
    """
    slug, work_pool = environment.slug, environment.work_pool  # after a refusal the row can't be read any more
    agents = _AGENTS.c.environment_id == environment.id
    executions = _EXECUTIONS.c.environment_id == environment.id
    if living := await _count(session, _AGENTS, agents & _AGENTS.c.deleted_at.is_(None)):
        raise Conflict(f"{slug} still has agents: {living}. Delete them first.")
    if unfinished := await _count(session, _EXECUTIONS, executions & _EXECUTIONS.c.finished_at.is_(None)):
        raise Conflict(f"{slug} still has executions that have not ended: {unfinished}. Cancel them, or let them end.")
    await session.execute(delete(_EXECUTIONS).where(executions))
    await session.execute(delete(_AGENTS).where(agents & _AGENTS.c.deleted_at.is_not(None)))
    await session.delete(environment)
    try:
        await session.flush()
    except IntegrityError as error:
        # Somebody made one since we counted.
        raise Conflict(f"{slug} still has {projects.belonging(error)}. Delete them first.") from error
    await organizations.abandon(session, [work_pool])


async def _count(session: AsyncSession, rows: TableClause, condition: ColumnElement[bool]) -> int:
    return await session.scalar(select(func.count()).select_from(rows).where(condition)) or 0


async def pool_changed(session: AsyncSession, environment_id: UUID) -> None:
    """Have the reconciler bring the work pool and its queues up to date; what people see of the environment stays."""
    await session.execute(
        update(Environment)
        .where(Environment.id == environment_id)
        .values(pool_version=Environment.pool_version + 1, updated_at=Environment.updated_at)
    )
