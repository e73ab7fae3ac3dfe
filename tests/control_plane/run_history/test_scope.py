"""Who sees which environments' runs."""

from typing import Any
from uuid import uuid4

import pytest

from deployments.orchestrator import Queue, RunRequest
from tests.control_plane.run_history.conftest import reading
from tests.prefect_stage import Stage
from tests.tenants import Tenant, create_tenant, created

pytestmark = pytest.mark.journey


async def _ran(stage: Stage, work_pool: str) -> None:
    await stage.orchestrator.ensure_environment(work_pool, [Queue("default")])
    await stage.orchestrator.start(RunRequest(uuid4(), work_pool))


async def _other_project(tenant: Tenant) -> dict[str, Any]:
    project = await created(tenant.client, "/projects", {"name": "Bank", "slug": "bank"})
    body = {"name": "Vault", "slug": "vault", "project_id": project["id"]}
    return await created(tenant.client, "/environments", body)


async def test_a_viewer_of_one_project_sees_the_runs_of_its_environments_alone(stage: Stage) -> None:
    async with create_tenant(stage.api_url, "initech") as tenant:
        vault = await _other_project(tenant)
        shop, bank = tenant.environment["work_pool"], vault["work_pool"]
        await _ran(stage, shop)
        await _ran(stage, bank)
        granted = {"name": "narrow", "role": "viewer", "project_id": tenant.project["id"]}
        key = await created(tenant.client, f"/organizations/{tenant.organization['id']}/api-keys", granted)
        async with reading(stage, tenant.api_key) as everywhere, reading(stage, key["key"]) as narrow:
            pools = [(await one.post("/flow_runs/filter", json={})).json() for one in (everywhere, narrow)]
            counts = [(await one.post("/flow_runs/count", json={})).json() for one in (everywhere, narrow)]
            named = {"work_pools": {"name": {"any_": [bank]}}}
            foreign = (await narrow.post("/flow_runs/filter", json=named)).json()
            pool = await narrow.get(f"/work_pools/{bank}")

        assert [{row["work_pool_name"] for row in rows} for rows in pools] == [{shop, bank}, {shop}]
        assert counts == [2, 1]
        assert foreign == []
        assert pool.status_code == 404


async def test_who_may_read_no_environments_runs_sees_none(stage: Stage) -> None:
    async with create_tenant(stage.api_url, "hooli") as tenant:
        project = await created(tenant.client, "/projects", {"name": "Empty", "slug": "empty"})
        granted = {"name": "empty", "role": "viewer", "project_id": project["id"]}
        key = await created(tenant.client, f"/organizations/{tenant.organization['id']}/api-keys", granted)
        async with reading(stage, key["key"]) as http:
            counts = [
                (await http.post(path, json={})).json()
                for path in ("/flow_runs/count", "/task_runs/count", "/flows/count", "/deployments/count")
            ]
            events = (await http.post("/events/filter", json={})).json()

        assert counts == [0, 0, 0, 0]
        assert (events["events"], events["total"]) == ([], 0)


async def test_a_grant_that_is_taken_away_shows_nothing_soon_after(stage: Stage) -> None:
    async with create_tenant(stage.api_url, "umbrella") as tenant:
        organization = f"/organizations/{tenant.organization['id']}"
        key = await created(tenant.client, f"{organization}/api-keys", {"name": "passing", "role": "viewer"})
        async with reading(stage, key["key"]) as http:
            before = await http.get("/health")
            await tenant.client.delete(f"{organization}/api-keys/{key['id']}")
            refused = await stage.refused_within(http, "/health", seconds=5)

        assert before.status_code == 200
        assert refused
