import asyncio
import json
import os
import sys
from typing import Any
from uuid import UUID

import pytest
from prefect.logging import get_logger
from prefect.plugins import HookContext, SetupResult

from control_plane.settings import Settings
from tests.orchestrator import FakeOrchestrator
from tests.serving import api_server
from tests.tenants import Tenant, create_tenant
from workpools import joining
from workpools.joining import Start, setup_environment

pytestmark = pytest.mark.integration

CONTEXT = HookContext(prefect_version="3.8.8", api_url=None, logger_factory=get_logger)


async def hooked() -> SetupResult | None:
    """What the hook answers; it blocks, so not in the loop of the server that it asks."""
    return await asyncio.to_thread(setup_environment, ctx=CONTEXT)


@pytest.fixture
def started(around: pytest.MonkeyPatch, acme: Tenant, api_url: str) -> pytest.MonkeyPatch:
    """A process that somebody started as a worker."""
    around.setenv("CONTROL_PLANE_URL", api_url)
    around.setenv("CONTROL_PLANE_API_KEY", acme.worker_key)
    around.setattr(sys, "argv", ["prefect", "worker", "start", "--pool", "env-acme-staging", "--limit", "2"])
    return around


async def joined_workers(tenant: Tenant) -> list[dict[str, Any]]:
    """Workers of a tenant but for the one that every tenant begins with."""
    found = (await tenant.client.get("/workers")).json()
    return [worker for worker in found if worker["id"] != tenant.session["session_id"]]


async def test_a_worker_joins_before_prefect_looks_at_its_pool(acme: Tenant, started: pytest.MonkeyPatch) -> None:
    result = await hooked()

    (worker,) = await joined_workers(acme)
    membership = joining.membership()
    assert result is not None
    assert membership is not None
    token = membership.session.session_token
    assert result.env["PREFECT_API_URL"] == "http://127.0.0.1:7777/api/v1/prefect/api"
    assert result.env["PREFECT_API_KEY"] == token
    assert json.loads(result.env["PREFECT_CLIENT_CUSTOM_HEADERS"]) == {"Authorization": f"Bearer {token}"}
    assert (worker["slots"], worker["version"], worker["prefect_version"]) == (2, "0.1.0", "3.8.8")


async def test_the_key_is_not_in_the_environment_any_more_and_no_note_holds_a_secret(
    acme: Tenant, started: pytest.MonkeyPatch
) -> None:
    started.setenv("PREFECT_API_AUTH_STRING", "admin:secret")

    result = await hooked()

    assert acme.worker_key not in os.environ.values()
    assert os.environ["CONTROL_PLANE_API_KEY"].startswith("cps_")
    assert "PREFECT_API_AUTH_STRING" not in os.environ
    assert result is not None
    assert result.note == "joined env-acme-staging"


async def test_headers_that_somebody_set_stay(acme: Tenant, started: pytest.MonkeyPatch) -> None:
    started.setenv("PREFECT_CLIENT_CUSTOM_HEADERS", '{"X-Proxy": "1"}')

    result = await hooked()

    assert result is not None
    assert json.loads(result.env["PREFECT_CLIENT_CUSTOM_HEADERS"]).keys() == {"X-Proxy", "Authorization"}


async def test_a_process_that_a_worker_started_does_not_join(acme: Tenant, started: pytest.MonkeyPatch) -> None:
    started.setenv("CONTROL_PLANE_API_KEY", acme.session["session_token"])

    result = await hooked()

    assert result is None
    assert await joined_workers(acme) == []


async def test_a_worker_of_some_other_prefect_is_left_alone(acme: Tenant, started: pytest.MonkeyPatch) -> None:
    started.delenv("CONTROL_PLANE_URL")
    started.delenv("CONTROL_PLANE_API_KEY")

    assert await hooked() is None


@pytest.mark.parametrize("missing", ["CONTROL_PLANE_URL", "CONTROL_PLANE_API_KEY"])
async def test_half_of_the_settings_is_refused_by_name(acme: Tenant, started: pytest.MonkeyPatch, missing: str) -> None:
    started.delenv(missing)

    with pytest.raises(SystemExit, match=f"{missing} is not set"):
        await hooked()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("CONTROL_PLANE_API_KEY", "cp_worker_nobody", "Check CONTROL_PLANE_API_KEY"),
        ("CONTROL_PLANE_URL", "http://127.0.0.1:9", "doesn't answer"),
        ("CONTROL_PLANE_URL", "not a url", "Is CONTROL_PLANE_URL right"),
    ],
)
async def test_a_worker_that_can_not_join_says_why_and_ends(
    acme: Tenant, started: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    started.setenv(name, value)

    with pytest.raises(SystemExit, match=said) as ended:
        await hooked()

    assert acme.worker_key not in str(ended.value)


async def test_a_pool_that_the_key_does_not_open_is_named(
    acme: Tenant, globex: Tenant, started: pytest.MonkeyPatch
) -> None:
    started.setattr(sys, "argv", ["prefect", "worker", "start", "--pool", "env-globex-staging"])

    with pytest.raises(SystemExit, match=r"Check --pool .*env-globex-staging"):
        await hooked()


async def test_limits_and_versions_are_told_as_the_server_says_them(acme: Tenant, started: pytest.MonkeyPatch) -> None:
    started.setattr(joining, "__version__", "0.0.1")

    with pytest.raises(SystemExit, match=r"accepts workers from version 0\.1\.0 on.* this one is 0\.0\.1"):
        await hooked()


async def test_a_worker_may_be_started_by_the_id_of_its_queue(acme: Tenant, started: pytest.MonkeyPatch) -> None:
    (queue,) = (await acme.client.get(f"/environments/{acme.environment['id']}/worker-queues")).json()

    membership = await asyncio.to_thread(
        joining.join, Start(None, worker_queue_id=UUID(queue["id"])), prefect_version="3.8.8"
    )

    assert membership.session.worker_queue.id == UUID(queue["id"])


async def test_a_worker_that_is_revoked_stops(settings: Settings, around: pytest.MonkeyPatch) -> None:
    quick = settings.model_copy(update={"worker_heartbeat": settings.worker_heartbeat / 10})
    around.setattr("control_plane.auth.credentials.Authenticator.REMEMBER", settings.worker_heartbeat * 0)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    async with api_server(quick, FakeOrchestrator()) as url, create_tenant(url, "acme") as tenant:
        around.setenv("CONTROL_PLANE_URL", url)
        around.setenv("CONTROL_PLANE_API_KEY", tenant.worker_key)
        membership = await asyncio.to_thread(joining.join, Start("env-acme-staging"), prefect_version="3.8.8")
        membership.on_end = lambda: loop.call_soon_threadsafe(ended.set)

        await tenant.client.post(f"/workers/{membership.session.session_id}/revoke")

        await asyncio.wait_for(ended.wait(), 20)


async def test_a_worker_learns_that_it_is_to_drain_and_leaves(settings: Settings, around: pytest.MonkeyPatch) -> None:
    quick = settings.model_copy(update={"worker_heartbeat": settings.worker_heartbeat / 10})
    async with api_server(quick, FakeOrchestrator()) as url, create_tenant(url, "acme") as tenant:
        around.setenv("CONTROL_PLANE_URL", url)
        around.setenv("CONTROL_PLANE_API_KEY", tenant.worker_key)
        membership = await asyncio.to_thread(joining.join, Start("env-acme-staging"), prefect_version="3.8.8")
        path = f"/workers/{membership.session.session_id}"

        await tenant.client.post(f"{path}/drain")

        assert await asyncio.to_thread(membership.draining.wait, 20)
        await asyncio.to_thread(membership.leave)
        assert (await tenant.client.get(path)).json()["ended_at"] is not None
