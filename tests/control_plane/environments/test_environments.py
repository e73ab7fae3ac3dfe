from datetime import timedelta
from typing import Any

import pytest

from control_plane.settings import Settings
from tests.orchestrator import FakeOrchestrator
from tests.serving import api_server
from tests.streams import events_in, opened
from tests.tenants import Tenant, create_tenant, created

pytestmark = pytest.mark.integration


def body(tenant: Tenant, **changes: Any) -> dict[str, Any]:
    return {"name": "Production", "slug": "production", "project_id": tenant.project["id"]} | changes


async def test_an_environment_comes_back_equal_from_the_place_that_location_names(acme: Tenant) -> None:
    sent = body(acme, llm_override={"provider": "scripted", "model": "assistant"})
    answer = await acme.client.post("/environments", json=sent)

    response = await acme.client.get(answer.headers["Location"].removeprefix("/api/v1"))

    assert answer.status_code == 201
    assert response.json().items() >= sent.items()


async def test_its_work_pool_is_named_after_organization_and_environment(acme: Tenant) -> None:
    environment = await created(acme.client, "/environments", body(acme))

    assert environment["work_pool"] == "env-acme-production"
    assert environment["llm_override"] is None


async def test_a_slug_is_given_once_in_an_organization(acme: Tenant) -> None:
    await created(acme.client, "/environments", body(acme))

    response = await acme.client.post("/environments", json=body(acme))

    assert response.status_code == 409


async def test_a_project_of_another_organization_is_refused_as_if_it_did_not_exist(
    acme: Tenant, globex: Tenant
) -> None:
    response = await acme.client.post("/environments", json=body(acme, project_id=globex.project["id"]))

    assert response.status_code == 422
    assert response.json()["errors"][0]["location"] == "body.project_id"


async def test_environments_are_found_by_slug_and_project(acme: Tenant) -> None:
    environment = await created(acme.client, "/environments", body(acme))
    wanted = {"slug": "production", "project_id": acme.project["id"]}

    response = await acme.client.get("/environments", params=wanted)

    assert [found["id"] for found in response.json()] == [environment["id"]]


async def test_the_worker_command_is_made_of_strings_and_holds_no_secret(acme: Tenant) -> None:
    response = await acme.client.get(f"/environments/{acme.environment['id']}/worker-command")

    command = response.json()
    assert command["command"] == "prefect worker start --pool env-acme-staging"
    assert {type(value) for value in command["environment"].values()} == {str}
    assert command["line"] == (
        "CONTROL_PLANE_URL=http://127.0.0.1:7777 CONTROL_PLANE_API_KEY='<worker key of this environment>'"
        " PREFECT_PLUGINS_ENABLED=1 prefect worker start --pool env-acme-staging"
    )
    assert acme.worker_key not in response.text


async def test_while_the_orchestrator_is_down_everything_is_accepted_and_done_when_it_is_back(
    settings: Settings,
) -> None:
    orchestrator = FakeOrchestrator()
    orchestrator.down = True
    quick = settings.model_copy(update={"reconcile_every": timedelta(milliseconds=50)})
    async with api_server(quick, orchestrator) as url, create_tenant(url, "acme") as tenant:
        execution = await tenant.start()
        provisioning = await tenant.client.get(f"/environments/{tenant.environment['id']}")
        async with opened(tenant, execution["id"]) as response:
            reader = events_in(response)
            pending = await anext(reader)
            orchestrator.down = False
            scheduled = await anext(reader)
        ready = await tenant.client.get(f"/environments/{tenant.environment['id']}")

    assert provisioning.json()["status"] == "provisioning"
    assert pending.data["status"] == "pending"
    assert scheduled.data["status"] == "scheduled"
    assert orchestrator.pools[:1] == ["env-acme-staging"]
    assert ready.status_code == 200
