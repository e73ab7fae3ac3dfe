"""How work pools follow environments, with nothing but the test at work on them."""

from dataclasses import dataclass
from uuid import UUID

import pytest

from control_plane.db import Database
from control_plane.environments import provisioning
from control_plane.environments import service as environments
from control_plane.environments.models import Environment
from control_plane.environments.schemas import EnvironmentCreate
from control_plane.organizations import service as organizations
from control_plane.organizations.schemas import OrganizationCreate
from control_plane.problems import Conflict
from control_plane.projects import service as projects
from control_plane.projects.schemas import ProjectCreate
from deployments.orchestrator import OrchestratorUnavailable, Queue
from tests.orchestrator import FakeOrchestrator

pytestmark = pytest.mark.integration

POOL = "env-acme-staging"


class Reluctant(FakeOrchestrator):
    """An orchestrator that needs two attempts to remove everything."""

    async def remove_environment(self, work_pool: str) -> bool:
        await super().remove_environment(work_pool)
        return len(self.removed) > 1


@dataclass(frozen=True, slots=True)
class Shop:
    """An organization with a project, used through the services."""

    database: Database
    organization_id: UUID
    project_id: UUID

    async def create(self) -> UUID:
        body = EnvironmentCreate(name="Staging", slug="staging", project_id=self.project_id)
        async with self.database.tenant(self.organization_id) as session:
            return (await environments.create(session, self.organization_id, body)).id

    async def remove(self, environment_id: UUID) -> None:
        async with self.database.tenant(self.organization_id) as session:
            await environments.remove(session, await environments.get(session, environment_id, lock=True))

    async def read(self, environment_id: UUID) -> Environment:
        async with self.database.tenant(self.organization_id) as session:
            return await environments.get(session, environment_id)


@pytest.fixture
async def shop(database: Database) -> Shop:
    async with database.tenant(None) as session:
        organization = await organizations.create(session, OrganizationCreate(name="Acme", slug="acme"))
        project = await projects.create(session, organization.id, ProjectCreate(name="Shop", slug="shop"))
    return Shop(database, organization.id, project.id)


async def test_a_new_environment_gets_its_work_pool_once(shop: Shop, orchestrator: FakeOrchestrator) -> None:
    environment_id = await shop.create()

    await provisioning.mirror(shop.database, orchestrator)
    await provisioning.mirror(shop.database, orchestrator)

    assert orchestrator.pools == [POOL]
    assert orchestrator.queues == {POOL: [Queue("default")]}
    assert (await shop.read(environment_id)).provisioned_at is not None


async def test_while_the_orchestrator_is_down_an_environment_stays_to_be_done(
    shop: Shop, orchestrator: FakeOrchestrator
) -> None:
    environment_id = await shop.create()
    orchestrator.down = True

    with pytest.raises(OrchestratorUnavailable):
        await provisioning.mirror(shop.database, orchestrator)

    assert (await shop.read(environment_id)).provisioned_at is None


async def test_an_abandoned_work_pool_is_removed_once(shop: Shop, orchestrator: FakeOrchestrator) -> None:
    await shop.remove(await shop.create())

    await provisioning.mirror(shop.database, orchestrator)
    await provisioning.mirror(shop.database, orchestrator)

    assert orchestrator.removed == [POOL]


async def test_a_slug_is_not_given_again_before_the_old_work_pool_is_gone(
    shop: Shop, orchestrator: FakeOrchestrator
) -> None:
    await shop.remove(await shop.create())

    with pytest.raises(Conflict, match=POOL):
        await shop.create()
    await provisioning.mirror(shop.database, orchestrator)
    environment = await shop.read(await shop.create())

    assert environment.work_pool == POOL


async def test_a_work_pool_of_which_more_is_left_is_taken_up_again(shop: Shop) -> None:
    orchestrator = Reluctant()
    await shop.remove(await shop.create())

    await provisioning.mirror(shop.database, orchestrator)
    await provisioning.mirror(shop.database, orchestrator)
    await provisioning.mirror(shop.database, orchestrator)

    assert orchestrator.removed == [POOL, POOL]


async def test_whoever_finds_another_process_at_work_on_a_pool_leaves_it_alone(
    shop: Shop, database: Database, orchestrator: FakeOrchestrator
) -> None:
    await shop.create()

    async with database.tenant(None) as session:
        assert await provisioning._alone(session, POOL)
        await provisioning.mirror(database, orchestrator)
    before = list(orchestrator.pools)
    await provisioning.mirror(database, orchestrator)

    assert before == []
    assert orchestrator.pools == [POOL]
