"""An organization stored without an API server, so that nothing but the test dispatches."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.agents import service as agents
from control_plane.agents.schemas import AgentCreate, LlmConfig
from control_plane.auth.credentials import Hasher
from control_plane.auth.principals import ExecutionPrincipal, Kind, Principal, WorkerPrincipal
from control_plane.db import Database
from control_plane.environments import credentials
from control_plane.environments import service as environments
from control_plane.environments.models import Environment
from control_plane.environments.schemas import EnvironmentCreate
from control_plane.events import service as events
from control_plane.events.models import Event
from control_plane.executions import claims
from control_plane.executions import service as executions
from control_plane.executions.dispatch import Dispatcher
from control_plane.executions.models import Execution
from control_plane.executions.schemas import ExecutionCreate, ExecutionInputCreate
from control_plane.organizations import service as organizations
from control_plane.organizations.schemas import OrganizationCreate
from control_plane.projects import service as projects
from control_plane.projects.schemas import ProjectCreate
from control_plane.settings import Settings
from control_plane.wire.executions import Claim, ClaimRequest, FinalStatus, Finish
from control_plane.wire.joining import JoinRequest
from control_plane.workers import sessions as worker_sessions
from tests.orchestrator import FakeOrchestrator
from tests.tenants import JOINING

HASHER = Hasher("a-secret-key-of-the-tests-0123456789")


@dataclass(frozen=True, slots=True)
class Shop:
    """An organization with an environment and an agent, used through the services."""

    database: Database
    settings: Settings
    organization_id: UUID
    environment_id: UUID
    agent_id: UUID
    worker: WorkerPrincipal

    async def start(self) -> UUID:
        principal = Principal(Kind.API_KEY, "tests", organization_id=self.organization_id)
        body = ExecutionCreate(agent_id=self.agent_id, input=ExecutionInputCreate(message="hello"))
        async with self.database.tenant(self.organization_id) as session:
            return (await executions.start(session, principal, body)).execution.id

    async def claim(self, execution_id: UUID) -> Claim:
        async with self.database.tenant(self.organization_id) as session:
            return await claims.claim(
                session,
                self.worker,
                execution_id,
                ClaimRequest(worker="worker-1"),
                hasher=HASHER,
                settings=self.settings,
            )

    async def finish(self, claim: Claim, status: FinalStatus) -> None:
        holder = ExecutionPrincipal(self.organization_id, claim.execution_id, claim.fence, model="scripted/script")
        async with self.database.tenant(self.organization_id) as session:
            await claims.finish(session, holder, Finish(fence=claim.fence, status=status))

    async def cancel(self, execution_id: UUID) -> None:
        async with self.database.tenant(self.organization_id) as session:
            await executions.cancel(session, execution_id)

    async def read(self, execution_id: UUID) -> Execution:
        async with self.database.tenant(self.organization_id) as session:
            return await executions.get(session, execution_id)

    async def events(self, execution_id: UUID) -> list[Event]:
        async with self.database.tenant(self.organization_id) as session:
            return await events.read(session, execution_id, after=0, limit=500)

    async def change(self, execution_id: UUID, assignments: str) -> None:
        """Let time pass: `lease_expires_at = now() - interval '1 second'`."""
        async with self.database.tenant(self.organization_id) as session:
            await session.execute(text(f"UPDATE executions SET {assignments} WHERE id = :id"), {"id": execution_id})

    async def dispatched(self, dispatcher: Dispatcher) -> tuple[UUID, UUID]:
        """A new execution that has been handed to the orchestrator: its id and its run's."""
        execution_id = await self.start()
        await dispatcher.attend(self.organization_id, execution_id)
        run_id = (await self.read(execution_id)).flow_run_id
        assert run_id is not None
        return execution_id, run_id

    async def attend(self, dispatcher: Dispatcher, execution_id: UUID) -> None:
        """One look of the dispatcher at one execution, with what it does when that fails."""
        dispatcher.attend_soon(self.organization_id, execution_id)
        await dispatcher._under_way[execution_id]


@pytest.fixture
async def shop(database: Database, settings: Settings) -> Shop:
    async with database.tenant(None) as session:
        organization = await organizations.create(session, OrganizationCreate(name="Acme", slug="acme"))
    async with database.tenant(organization.id) as session:
        project = await projects.create(session, organization.id, ProjectCreate(name="Shop", slug="shop"))
        environment = await environments.create(
            session, organization.id, EnvironmentCreate(name="Staging", slug="staging", project_id=project.id)
        )
        model: dict[str, Any] = {"provider": "scripted", "model": "script"}
        current = await agents.create(
            session,
            organization.id,
            AgentCreate(name="Assistant", environment_id=environment.id, llm_config=LlmConfig(**model)),
        )
        owner = Principal(Kind.API_KEY, "tests", organization_id=organization.id)
        worker = await _joined(session, owner, environment, settings=settings)
    return Shop(database, settings, organization.id, environment.id, current.agent.id, worker)


async def _joined(
    session: AsyncSession, owner: Principal, environment: Environment, *, settings: Settings
) -> WorkerPrincipal:
    issued = await credentials.create(
        session, owner, environment.id, kind=Kind.WORKER_KEY, name="key", expires_at=None, hasher=HASHER
    )
    key = issued.credential
    holder = Principal(
        Kind.WORKER_KEY,
        key.name,
        organization_id=environment.organization_id,
        credential_id=key.id,
        environment_id=environment.id,
    )
    joined = await worker_sessions.start_in_pool(
        session, holder, environment.work_pool, JoinRequest(**JOINING), hasher=HASHER, settings=settings
    )
    return WorkerPrincipal(
        joined.organization_id, joined.environment_id, joined.worker_queue.id, joined.session_id, "worker-1"
    )


@pytest.fixture
async def dispatcher(database: Database, orchestrator: FakeOrchestrator) -> AsyncIterator[Dispatcher]:
    """A dispatcher that looks at nothing by itself."""
    made = Dispatcher(database, orchestrator, every=timedelta(hours=1))
    yield made
    await made.stop()
