"""Against a real Prefect server of this test run's own."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from control_plane.embedded.data_folder import DataFolder
from control_plane.embedded.prefect_server import PrefectServer
from deployments.orchestrator import Queue, RunRequest, RunState
from deployments.prefect_orchestrator import PrefectOrchestrator
from tests.prefect_stage import prefect_api

pytestmark = pytest.mark.journey


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    folder: Path = tmp_path_factory.mktemp("prefect")
    data = DataFolder(folder)
    started = PrefectServer.start(data)
    try:
        started.wait()
        yield started
    finally:
        started.process.stop()


@pytest.fixture
async def orchestrator(server: PrefectServer) -> AsyncIterator[PrefectOrchestrator]:
    made = PrefectOrchestrator(api_url=server.api_url, ui_url=server.ui_url, auth_string=server.auth_string)
    yield made
    await made.aclose()


@pytest.fixture
async def prefect(server: PrefectServer) -> AsyncIterator[httpx.AsyncClient]:
    """Prefect's own API."""
    async with prefect_api(server) as client:
        yield client


async def queues(prefect: httpx.AsyncClient, work_pool: str) -> list[tuple[Any, ...]]:
    """The queues of a work pool as Prefect would serve them."""
    response = await prefect.post(f"/work_pools/{work_pool}/queues/filter", json={})
    response.raise_for_status()
    found = sorted(response.json(), key=lambda queue: queue["priority"])
    return [(one["name"], one["description"], one["concurrency_limit"], one["is_paused"]) for one in found]


async def test_the_queues_of_a_work_pool_become_what_was_asked_for(
    orchestrator: PrefectOrchestrator, prefect: httpx.AsyncClient
) -> None:
    await orchestrator.ensure_environment("env-a-queues", [Queue("default"), Queue("slow"), Queue("gone")])
    first = await queues(prefect, "env-a-queues")

    await orchestrator.ensure_environment(
        "env-a-queues",
        [Queue("urgent", "Incidents", concurrency_limit=2), Queue("slow", paused=True), Queue("default")],
    )

    assert [name for name, *_ in first] == ["default", "slow", "gone"]
    assert await queues(prefect, "env-a-queues") == [
        ("urgent", "Incidents", 2, False),
        ("slow", "", None, True),
        ("default", "", None, False),
    ]


async def test_a_limit_is_lifted_and_a_queue_goes_on(
    orchestrator: PrefectOrchestrator, prefect: httpx.AsyncClient
) -> None:
    await orchestrator.ensure_environment("env-a-limit", [Queue("default", concurrency_limit=2, paused=True)])

    await orchestrator.ensure_environment("env-a-limit", [Queue("default")])

    assert await queues(prefect, "env-a-limit") == [("default", "", None, False)]


async def test_a_removed_environment_leaves_neither_work_pool_nor_deployment_nor_runs(
    orchestrator: PrefectOrchestrator, prefect: httpx.AsyncClient
) -> None:
    await orchestrator.ensure_environment("env-a-removed", [Queue("default")])
    run_id = await orchestrator.start(RunRequest(execution_id=uuid4(), work_pool="env-a-removed"))

    done = await orchestrator.remove_environment("env-a-removed")

    assert done
    assert (await prefect.get("/work_pools/env-a-removed")).status_code == 404
    assert (await prefect.get("/deployments/name/agent-execution/env-a-removed")).status_code == 404
    assert (await orchestrator.status(run_id)).state is RunState.MISSING


async def test_removing_what_is_not_there_is_harmless(orchestrator: PrefectOrchestrator) -> None:
    assert await orchestrator.remove_environment("env-a-never")


async def test_the_runs_of_other_environments_stay(orchestrator: PrefectOrchestrator) -> None:
    run_id = await orchestrator.start(RunRequest(execution_id=uuid4(), work_pool="env-a-stays"))
    await orchestrator.ensure_environment("env-a-goes", [Queue("default")])

    await orchestrator.remove_environment("env-a-goes")

    assert (await orchestrator.status(run_id)).state is RunState.WAITING


async def test_an_execution_starts_again_after_its_work_pool_was_removed(orchestrator: PrefectOrchestrator) -> None:
    await orchestrator.ensure_environment("env-a-again", [Queue("default")])
    await orchestrator.remove_environment("env-a-again")

    run_id = await orchestrator.start(RunRequest(execution_id=uuid4(), work_pool="env-a-again"))

    assert (await orchestrator.status(run_id)).state is RunState.WAITING


async def test_a_run_that_is_given_up_has_crashed(
    orchestrator: PrefectOrchestrator, prefect: httpx.AsyncClient
) -> None:
    await orchestrator.ensure_environment("env-a-given-up", [Queue("default")])
    run_id = await orchestrator.start(RunRequest(execution_id=uuid4(), work_pool="env-a-given-up"))
    await prefect.post(f"/flow_runs/{run_id}/set_state", json={"state": {"type": "RUNNING"}, "force": True})

    await orchestrator.give_up(run_id)
    await orchestrator.give_up(run_id)
    await orchestrator.give_up(uuid4())

    states = (await prefect.get("/flow_run_states/", params={"flow_run_id": str(run_id)})).json()
    assert (await orchestrator.status(run_id)).state is RunState.ENDED
    assert [state["type"] for state in states].count("CRASHED") == 1
