"""Environments, their worker keys and the command that starts a worker for them."""

import logging
from uuid import UUID

from sqlalchemy import func, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.auth.credentials import Hasher, Issued, issue
from control_plane.auth.principals import Kind
from control_plane.db import Database
from control_plane.environments.models import Environment
from control_plane.environments.schemas import EnvironmentCreate
from control_plane.organizations.models import Organization
from control_plane.organizations.schemas import KeyCreate
from control_plane.pagination import Page
from control_plane.problems import AlreadyExists, Invalid, NotFound
from control_plane.projects import service as projects
from deployments.orchestrator import Orchestrator, OrchestratorRefused

logger = logging.getLogger(__name__)


async def create(session: AsyncSession, organization_id: UUID, body: EnvironmentCreate) -> Environment:
    """A new environment; its work pool follows once the row is committed. Raises `Invalid`, `AlreadyExists`."""
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
    )
    session.add(environment)
    try:
        await session.flush()
    except IntegrityError as error:
        raise AlreadyExists(
            f"There is an environment with the slug {body.slug} in this organization. Choose another."
        ) from error
    return environment


async def get(session: AsyncSession, environment_id: UUID) -> Environment:
    """One environment. Raises `NotFound`."""
    environment = await session.scalar(select(Environment).where(Environment.id == environment_id))
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


async def issue_worker_key(session: AsyncSession, environment_id: UUID, body: KeyCreate, *, hasher: Hasher) -> Issued:
    """A key with which workers of this environment, and of no other, claim its executions. Raises `NotFound`."""
    environment = await get(session, environment_id)
    issued = issue(
        session,
        hasher,
        kind=Kind.WORKER_KEY,
        organization_id=environment.organization_id,
        name=body.name,
        environment_id=environment.id,
        expires_at=body.expires_at,
    )
    await session.flush()
    return issued


async def provision(database: Database, orchestrator: Orchestrator) -> None:
    """Make sure that every environment has its work pool. Safe to repeat; raises `OrchestratorUnavailable`."""
    async with database.tenant(None) as session:
        missing = (await session.execute(text("SELECT organization_id, id FROM unprovisioned_environments()"))).all()
    for organization_id, environment_id in missing:
        async with database.tenant(organization_id) as session:
            environment = await get(session, environment_id)
        try:
            await orchestrator.ensure_environment(environment.work_pool)
        except OrchestratorRefused as error:
            # One environment that can't be provisioned must not keep the others of all tenants waiting.
            logger.error("the work pool %s can't be created: %s", environment.work_pool, error)  # noqa: TRY400 - said
            continue
        async with database.tenant(organization_id) as session:
            await session.execute(
                update(Environment)
                .where(Environment.id == environment_id)
                .values(provisioned_at=func.now(), updated_at=func.now())
            )
