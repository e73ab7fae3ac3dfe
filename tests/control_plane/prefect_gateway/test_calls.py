"""What a worker and a flow run call over HTTP, through the gateway to a real Prefect server."""

from typing import Any
from uuid import uuid4

import pytest

from tests.prefect_stage import Stage

pytestmark = pytest.mark.journey

NOW = "2026-01-02T03:04:05Z"


def state(kind: str, **details: Any) -> dict[str, Any]:
    return {"state": {"type": kind, "name": kind.title(), "message": "", "state_details": details}, "force": False}


async def test_a_worker_finds_its_pool_and_its_queues(stage: Stage) -> None:
    pool = stage.acme.ids["work_pool"]
    async with stage.acme.through(stage) as http:
        found = await http.get(f"/work_pools/{pool}")
        queues = await http.post(
            f"/work_pools/{pool}/queues/filter", json={"work_queues": None, "limit": None, "offset": None}
        )

    assert found.json()["name"] == pool
    assert [queue["name"] for queue in queues.json()] == ["default"]


async def test_a_worker_takes_the_flow_runs_of_its_pool_and_no_others(stage: Stage) -> None:
    _, mine = await stage.run(stage.acme)
    _, other = await stage.run(stage.globex)
    async with stage.acme.through(stage) as http:
        taken = await http.post(
            f"/work_pools/{stage.acme.ids['work_pool']}/get_scheduled_flow_runs",
            json={"work_queue_names": [], "scheduled_before": "2100-01-01 00:00:00+00:00"},
        )

    found = {row["flow_run"]["id"] for row in taken.json()}
    assert mine in found
    assert other not in found


async def test_a_worker_that_is_draining_gets_nothing_new(stage: Stage) -> None:
    await stage.run(stage.acme)
    session = await stage.joined(stage.acme)
    drained = await stage.acme.tenant.client.post(f"/workers/{session['session_id']}/drain")
    async with stage.through(session["session_token"]) as http:
        taken = await http.post(
            f"/work_pools/{stage.acme.ids['work_pool']}/get_scheduled_flow_runs", json={"work_queue_names": []}
        )

    assert drained.is_success
    assert taken.json() == []


async def test_a_worker_of_one_queue_gets_nothing_of_another(stage: Stage) -> None:
    environment = stage.acme.tenant.environment
    made = await stage.acme.tenant.client.post(
        f"/environments/{environment['id']}/worker-queues", json={"name": "slow"}
    )
    await stage.prefect.post(f"/work_pools/{environment['work_pool']}/queues", json={"name": "slow"})
    await stage.run(stage.acme)
    session = await stage.joined(stage.acme, worker_queue="slow")
    async with stage.through(session["session_token"]) as http:
        taken = await http.post(
            f"/work_pools/{environment['work_pool']}/get_scheduled_flow_runs", json={"work_queue_names": ["default"]}
        )

    assert made.status_code == 201
    assert taken.json() == []


async def test_a_flow_run_is_read_moved_and_written_about(stage: Stage) -> None:
    _, flow_run_id = await stage.run(stage.acme)
    path = f"/flow_runs/{flow_run_id}"
    async with stage.acme.through(stage) as http:
        moved = await http.post(f"{path}/set_state", json=state("PENDING", transition_id=str(uuid4())))
        noted = await http.patch(path, json={"infrastructure_pid": "4711"})
        labelled = await http.patch(
            f"{path}/labels",
            json={"prefect.worker.name": "w", "prefect.work-pool.id": stage.acme.ids["work_pool_id"]},
        )
        logged = await http.post(
            "/logs/",
            json=[{"name": "n", "level": 20, "message": "hello", "timestamp": NOW, "flow_run_id": flow_run_id}],
        )
        found = await http.get(path)

    assert [moved.json()["status"], noted.status_code, labelled.status_code] == ["ACCEPT", 204, 204]
    assert logged.status_code == 201
    assert found.json()["state_type"] == "PENDING"
    assert found.json()["infrastructure_pid"] == "4711"
    assert found.json()["labels"]["prefect.worker.name"] == "w"


async def test_the_flow_and_the_deployment_of_a_flow_run_are_read(stage: Stage) -> None:
    async with stage.acme.through(stage, stage.acme.execution_token) as http:
        run = (await http.get(f"/flow_runs/{stage.acme.ids['flow_run_id']}")).json()
        deployment = await http.get(f"/deployments/{run['deployment_id']}")
        flow = await http.get(f"/flows/{run['flow_id']}")
        queue = await http.get(f"/work_queues/{run['work_queue_id']}")

    assert deployment.json()["work_pool_name"] == stage.acme.ids["work_pool"]
    assert flow.json()["name"] == "agent-execution"
    assert queue.json()["name"] == "default"


async def test_an_execution_token_moves_the_flow_run_of_its_execution(stage: Stage) -> None:
    execution_id, flow_run_id = await stage.run(stage.acme)
    claim = await stage.acme.tenant.claim(execution_id)
    async with stage.through(claim["execution_token"]) as http:
        moved = await http.post(f"/flow_runs/{flow_run_id}/set_state", json=state("PENDING"))

    assert moved.json()["status"] == "ACCEPT"


async def test_an_execution_token_opens_no_other_flow_run_of_its_environment(stage: Stage) -> None:
    _, other = await stage.run(stage.acme)
    async with stage.acme.through(stage, stage.acme.execution_token) as http:
        read = await http.get(f"/flow_runs/{other}")
        moved = await http.post(f"/flow_runs/{other}/set_state", json=state("CANCELLED"))
        noted = await http.patch(f"/flow_runs/{other}", json={"infrastructure_pid": "1"})

    assert [read.status_code, moved.status_code, noted.status_code] == [404, 404, 404]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/work_pools/{work_pool}/get_scheduled_flow_runs"),
        ("POST", "/work_pools/{work_pool}/queues/filter"),
        ("POST", "/work_pools/{work_pool}/workers/heartbeat"),
        ("PATCH", "/flow_runs/{flow_run_id}/labels"),
    ],
)
async def test_what_workers_do_is_not_for_an_execution_token(stage: Stage, method: str, path: str) -> None:
    async with stage.acme.through(stage, stage.acme.execution_token) as http:
        response = await http.request(method, path.format(**stage.acme.ids), json={"name": "w"})

    assert response.status_code == 403


@pytest.mark.parametrize(
    "body",
    [
        {"job_variables": {"command": "sh"}},
        {"parameters": {"execution_id": "x"}},
        {"tags": ["organization:globex"]},
        {"name": "mine"},
        {"infrastructure_pid": "1", "job_variables": {}},
        {"unknown": 1},
    ],
)
async def test_only_what_a_worker_notes_can_be_changed_about_a_flow_run(stage: Stage, body: dict[str, Any]) -> None:
    before = await stage.known(stage.acme)
    async with stage.acme.through(stage) as http:
        response = await http.patch(f"/flow_runs/{stage.acme.ids['flow_run_id']}", json=body)

    assert response.status_code == 422
    assert await stage.known(stage.acme) == before


async def test_ids_in_the_details_of_a_state_do_not_reach_prefect(stage: Stage) -> None:
    _, flow_run_id = await stage.run(stage.acme)
    foreign = stage.globex.ids
    told = state(
        "PENDING",
        flow_run_id=foreign["flow_run_id"],
        task_run_id=foreign["task_run_id"],
        child_flow_run_id=foreign["flow_run_id"],
        deployment_concurrency_lease_id=str(uuid4()),
        cache_key="of-somebody-else",
    )
    async with stage.acme.through(stage) as http:
        await http.post(f"/flow_runs/{flow_run_id}/set_state", json=told)
    stored = (await stage.prefect.get(f"/flow_runs/{flow_run_id}")).json()["state"]["state_details"]

    named = ("task_run_id", "child_flow_run_id", "deployment_concurrency_lease_id", "cache_key")
    assert {name: stored[name] for name in named} == dict.fromkeys(named)
    assert stored["flow_run_id"] == flow_run_id


async def test_a_search_finds_what_it_names_within_the_scope(stage: Stage) -> None:
    _, mine = await stage.run(stage.acme)
    named = [mine, stage.globex.ids["flow_run_id"], str(uuid4())]
    body = {
        "flow_runs": {"id": {"any_": named}, "state": {"type": {"any_": ["SCHEDULED"]}, "name": None}, "tags": None},
        "flows": None,
        "work_pools": {"name": {"any_": [stage.globex.ids["work_pool"]]}},
        "sort": None,
        "limit": None,
        "offset": 0,
    }
    async with stage.acme.through(stage) as http:
        found = await http.post("/flow_runs/filter", json=body)

    assert [run["id"] for run in found.json()] == [mine]


async def test_a_search_needs_flow_runs_to_search(stage: Stage) -> None:
    async with stage.acme.through(stage) as http:
        response = await http.post("/flow_runs/filter", json={})

    assert response.status_code == 422


async def test_logs_are_taken_together_or_not_at_all(stage: Stage) -> None:
    line = {"name": "n", "level": 20, "message": "mixed", "timestamp": NOW}
    mine, other = stage.acme.ids["flow_run_id"], stage.globex.ids["flow_run_id"]
    async with stage.acme.through(stage) as http:
        response = await http.post("/logs/", json=[line | {"flow_run_id": mine}, line | {"flow_run_id": other}])
    found = await stage.prefect.post("/logs/filter", json={"logs": {"flow_run_id": {"any_": [mine]}}})

    assert response.status_code == 404
    assert "mixed" not in found.text


async def test_a_log_of_a_task_run_that_is_new_is_taken(stage: Stage) -> None:
    line = {"name": "n", "level": 20, "message": "m", "timestamp": NOW, "flow_run_id": stage.acme.ids["flow_run_id"]}
    async with stage.acme.through(stage) as http:
        response = await http.post("/logs/", json=[line | {"task_run_id": str(uuid4())}])

    assert response.status_code == 201


async def test_a_log_without_a_flow_run_is_refused(stage: Stage) -> None:
    async with stage.acme.through(stage) as http:
        response = await http.post("/logs/", json=[{"name": "n", "level": 20, "message": "m", "timestamp": NOW}])

    assert response.status_code == 422


async def test_a_worker_gives_a_sign_of_life(stage: Stage) -> None:
    name = f"worker-{uuid4()}"
    async with stage.acme.through(stage) as http:
        response = await http.post(
            f"/work_pools/{stage.acme.ids['work_pool']}/workers/heartbeat",
            json={"name": name, "heartbeat_interval_seconds": 30},
        )
    workers = await stage.prefect.post(f"/work_pools/{stage.acme.ids['work_pool']}/workers/filter", json={})

    assert response.status_code == 204
    assert name in [worker["name"] for worker in workers.json()]


async def test_what_isnt_json_is_a_bad_request(stage: Stage) -> None:
    async with stage.acme.through(stage) as http:
        response = await http.post("/logs/", content=b"[{", headers={"Content-Type": "application/json"})

    assert response.status_code == 400
    assert response.json()["code"] == "malformed_json"


async def test_a_refusal_says_what_to_do(stage: Stage) -> None:
    async with stage.acme.through(stage) as http:
        response = await http.post("/task_runs/filter", json={})

    assert response.status_code == 403
    assert response.headers["Content-Type"] == "application/problem+json"
    assert "/api/docs" in response.json()["detail"]


async def test_a_revoked_session_opens_nothing_any_more(stage: Stage) -> None:
    session = await stage.joined(stage.acme)
    async with stage.through(session["session_token"]) as http:
        left = await http.delete(f"{stage.api_url}/api/v1/worker-sessions/current")
        refused = await stage.refused_within(http, "/admin/version", seconds=5)

    assert left.status_code == 204
    assert refused
