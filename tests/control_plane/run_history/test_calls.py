"""What the run history shows of a real Prefect server: one's own, all of it, and nothing else."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.prefect_stage import Stage

pytestmark = pytest.mark.journey

SOON = {
    "history_start": (datetime.now(UTC) - timedelta(days=1)).isoformat(),
    "history_end": (datetime.now(UTC) + timedelta(days=1)).isoformat(),
    "history_interval_seconds": 86400,
}
BUCKETS = {"task_runs": {"start_time": {"after_": "2020-01-01T00:00:00Z"}}}
LISTS = [
    ("/flow_runs/filter", {}, "flow_run_id"),
    ("/flow_runs/paginate", {}, "flow_run_id"),
    ("/ui/flow_runs/history", {}, "flow_run_id"),
    ("/task_runs/filter", {}, "task_run_id"),
    ("/task_runs/paginate", {}, "task_run_id"),
    ("/deployments/filter", {}, "deployment_id"),
    ("/deployments/paginate", {}, "deployment_id"),
    ("/work_pools/filter", {}, "work_pool_id"),
]


@pytest.mark.parametrize(("path", "body", "own"), LISTS)
async def test_a_list_holds_what_is_ones_own_and_nothing_else(
    stage: Stage, reader: httpx.AsyncClient, path: str, body: dict[str, Any], own: str
) -> None:
    response = await reader.post(path, json=body)

    assert response.status_code == 200
    assert stage.acme.ids[own] in response.text
    assert stage.globex.ids[own] not in response.text
    assert stage.globex.ids["work_pool"] not in response.text


@pytest.mark.parametrize(
    ("path", "criteria"),
    [
        ("/flow_runs/filter", {"flow_runs": {"id": {"any_": ["{flow_run_id}"]}}}),
        (
            "/flow_runs/filter",
            {"flow_runs": {"operator": "or_", "id": {"any_": ["{flow_run_id}"]}, "name": {"any_": ["never"]}}},
        ),
        ("/flow_runs/filter", {"work_pools": {"name": {"any_": ["{work_pool}"]}}}),
        ("/flow_runs/filter", {"work_pools": {"id": {"any_": ["{work_pool_id}"]}}}),
        ("/flow_runs/paginate", {"deployments": {"id": {"any_": ["{deployment_id}"]}}}),
        ("/ui/flow_runs/history", {"flow_runs": {"id": {"any_": ["{flow_run_id}"]}}}),
        ("/task_runs/filter", {"task_runs": {"id": {"any_": ["{task_run_id}"]}}}),
        ("/task_runs/filter", {"flow_runs": {"id": {"any_": ["{flow_run_id}"]}}}),
        ("/task_runs/paginate", {"deployments": {"id": {"any_": ["{deployment_id}"]}}}),
        ("/task_runs/paginate", {"deployments": {"name": {"any_": ["{work_pool}"]}}}),
        ("/deployments/filter", {"deployments": {"id": {"any_": ["{deployment_id}"]}}}),
        ("/deployments/paginate", {"flow_runs": {"id": {"any_": ["{flow_run_id}"]}}}),
        ("/work_pools/filter", {"work_pools": {"name": {"any_": ["{work_pool}"]}}}),
        ("/work_pools/filter", {"work_pools": {"id": {"any_": ["{work_pool_id}"]}}}),
    ],
)
async def test_criteria_that_name_foreign_things_find_nothing(
    stage: Stage, reader: httpx.AsyncClient, other_reader: httpx.AsyncClient, path: str, criteria: dict[str, Any]
) -> None:
    asked = _filled(criteria, stage.globex.ids)
    foreign, own = await reader.post(path, json=asked), await other_reader.post(path, json=asked)

    assert [foreign.status_code, own.status_code] == [200, 200]
    assert _rows(foreign) == []
    assert _rows(own) != []


@pytest.mark.parametrize(
    ("path", "criteria"),
    [
        ("/flow_runs/filter", {"work_pools": {"operator": "or_", "id": {"any_": ["{work_pool_id}"]}}}),
        ("/work_pools/filter", {"work_pools": {"operator": "or_", "id": {"any_": ["{work_pool_id}"]}}}),
        ("/task_runs/filter", {"deployments": {"operator": "or_", "id": {"any_": ["{deployment_id}"]}}}),
        ("/task_runs/filter", {"deployments": {"name": ["{work_pool}"]}}),
        ("/flow_runs/filter", {"work_pools": {"name": {"any_": "{work_pool}"}}}),
        ("/logs/filter", {"logs": {"operator": "or_", "flow_run_id": {"any_": ["{flow_run_id}"]}}}),
    ],
)
async def test_criteria_beside_ours_are_never_joined_by_or(
    stage: Stage, reader: httpx.AsyncClient, path: str, criteria: dict[str, Any]
) -> None:
    response = await reader.post(path, json=_filled(criteria, stage.acme.ids))

    assert response.status_code == 422
    assert response.json()["code"] == "invalid"


async def test_an_unknown_filter_is_no_way_around_ours(stage: Stage, reader: httpx.AsyncClient) -> None:
    pools = {"name": {"any_": [stage.globex.ids["work_pool"]]}}
    response = await reader.post("/flow_runs/filter", json={"or_": [{"work_pools": pools}], "work_pool": pools})

    assert response.status_code == 200
    assert {row["work_pool_name"] for row in response.json()} == {stage.acme.ids["work_pool"]}


@pytest.mark.parametrize("path", ["/flow_runs/count", "/deployments/count", "/work_pools/count"])
async def test_a_count_is_of_ones_own(stage: Stage, reader: httpx.AsyncClient, path: str) -> None:
    await stage.run(stage.globex)
    own = {"work_pools": {"name": {"any_": [stage.acme.ids["work_pool"]]}}}
    counted = (await reader.post(path, json={})).json()
    really, of_all = [(await stage.prefect.post(path, json=asked)).json() for asked in (own, {})]

    assert counted == really
    assert 0 < counted < of_all


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/task_runs/count", {}),
        ("/ui/task_runs/count", {}),
        ("/task_runs/history", SOON),
        ("/flow_runs/history", SOON),
        ("/ui/task_runs/dashboard/counts", BUCKETS),
    ],
)
async def test_statistics_are_of_ones_own(
    stage: Stage, reader: httpx.AsyncClient, path: str, asked: dict[str, Any]
) -> None:
    await _complete_task_run(stage, stage.globex.ids["flow_run_id"])
    await _complete_task_run(stage, stage.acme.ids["flow_run_id"])
    own = asked | {"deployments": {"id": {"any_": [stage.acme.ids["deployment_id"]]}}}
    told = await reader.post(path, json=asked)
    really, of_all = [await stage.prefect.post(path, json=one) for one in (own, asked)]

    assert [told.status_code, really.status_code, of_all.status_code] == [200, 200, 200]
    assert _counts(told.json()) == _counts(really.json())
    assert _counts(told.json()) != _counts(of_all.json())


async def test_lateness_is_of_ones_own(stage: Stage, reader: httpx.AsyncClient) -> None:
    foreign = {"flow_runs": {"id": {"any_": [stage.globex.ids["flow_run_id"]]}}}
    response = await reader.post("/flow_runs/lateness", json=foreign)

    assert response.json() is None


async def test_nobody_learns_from_a_flow_whether_others_have_such_runs(stage: Stage, reader: httpx.AsyncClient) -> None:
    theirs = {"flow_runs": {"id": {"any_": [stage.globex.ids["flow_run_id"]]}}}
    nobodys = {"flow_runs": {"id": {"any_": [str(uuid4())]}}}
    counts = [(await reader.post("/flows/count", json=asked)).json() for asked in (theirs, nobodys)]
    tasks = {"task_runs": {"id": {"any_": [stage.globex.ids["task_run_id"]]}}}
    counts.append((await reader.post("/flows/count", json=tasks)).json())

    assert counts == [1, 1, 1]


async def test_the_flow_of_all_tenants_counts_what_is_ones_own(stage: Stage, reader: httpx.AsyncClient) -> None:
    flow_id = (await reader.post("/flows/filter", json={})).json()[0]["id"]
    _, other = await stage.run(stage.globex)
    _, own = await stage.run(stage.acme)
    counted = (await reader.post("/ui/flows/count-deployments", json={"flow_ids": [flow_id]})).json()
    following = (await reader.post("/ui/flows/next-runs", json={"flow_ids": [flow_id]})).json()
    found = await reader.get(f"/flow_runs/{following[flow_id]['id']}")

    assert counted == {flow_id: 1}
    assert found.json()["work_pool_name"] == stage.acme.ids["work_pool"]
    assert other not in str(following)
    assert (await reader.get(f"/flow_runs/{own}")).status_code == 200


async def test_task_runs_are_counted_for_ones_own_flow_runs_alone(stage: Stage, reader: httpx.AsyncClient) -> None:
    ids = [stage.acme.ids["flow_run_id"], stage.globex.ids["flow_run_id"]]
    counted = (await reader.post("/ui/flow_runs/count-task-runs", json={"flow_run_ids": ids})).json()

    assert counted[ids[0]] > 0
    assert counted[ids[1]] == 0


SINGLE = [
    "/flow_runs/{flow_run_id}",
    "/flow_runs/{flow_run_id}/graph",
    "/flow_runs/{flow_run_id}/graph-v2",
    "/flow_run_states/?flow_run_id={flow_run_id}",
    "/task_runs/{task_run_id}",
    "/ui/task_runs/{task_run_id}",
    "/task_run_states/?task_run_id={task_run_id}",
    "/deployments/{deployment_id}",
    "/work_queues/{work_queue_id}",
    "/work_pools/{work_pool}",
    "/work_pools/{work_pool}/queues/default",
]


@pytest.mark.parametrize("path", SINGLE)
async def test_a_thing_is_shown_to_its_owner_and_doesnt_exist_for_others(
    stage: Stage, reader: httpx.AsyncClient, other_reader: httpx.AsyncClient, path: str
) -> None:
    asked = path.format(**stage.globex.ids)
    own, foreign = await other_reader.get(asked), await reader.get(asked)
    unknown = await reader.get(path.format(**dict.fromkeys(stage.globex.ids, str(uuid4()))))

    assert own.status_code == 200
    assert [foreign.status_code, unknown.status_code] == [404, 404]
    assert _without_ids(foreign) == _without_ids(unknown)
    assert stage.globex.canary not in foreign.text


async def test_what_was_read_by_its_owner_stays_hidden_from_others(
    stage: Stage, reader: httpx.AsyncClient, other_reader: httpx.AsyncClient
) -> None:
    path = f"/task_runs/{stage.globex.ids['task_run_id']}"
    answers = [await one.get(path) for one in (other_reader, reader, other_reader)]

    assert [answer.status_code for answer in answers] == [200, 404, 200]


async def test_logs_are_of_ones_own_flow_runs(
    stage: Stage, reader: httpx.AsyncClient, other_reader: httpx.AsyncClient
) -> None:
    asked = {"logs": {"flow_run_id": {"any_": [stage.globex.ids["flow_run_id"]]}}}
    own, foreign = await other_reader.post("/logs/filter", json=asked), await reader.post("/logs/filter", json=asked)

    assert stage.globex.canary in own.text
    assert foreign.status_code == 404
    assert stage.globex.canary not in foreign.text


@pytest.mark.parametrize(
    "logs",
    [
        {},
        {"level": {"ge_": 0}},
        {"flow_run_id": {"any_": []}},
        {"flow_run_id": {"any_": None}},
        {"flow_run_id": {}},
        {"task_run_id": {"is_null_": True}},
    ],
)
async def test_logs_of_no_flow_run_in_particular_are_refused(reader: httpx.AsyncClient, logs: dict[str, Any]) -> None:
    response = await reader.post("/logs/filter", json={"logs": logs})

    assert response.status_code == 422


async def test_logs_of_a_foreign_task_run_are_refused(stage: Stage, reader: httpx.AsyncClient) -> None:
    asked = {"logs": {"task_run_id": {"any_": [stage.globex.ids["task_run_id"]]}}}
    response = await reader.post("/logs/filter", json=asked)

    assert response.status_code == 404


async def test_queues_and_workers_are_of_ones_own_pool(
    stage: Stage, reader: httpx.AsyncClient, other_reader: httpx.AsyncClient
) -> None:
    pool = f"/work_pools/{stage.globex.ids['work_pool']}"
    paths = [f"{pool}/queues/filter", f"{pool}/workers/filter"]
    own = [(await other_reader.post(path, json={})).text for path in paths]
    foreign = [(await reader.post(path, json={})).status_code for path in paths]

    assert "default" in own[0]
    assert stage.globex.canary in own[1]
    assert foreign == [404, 404]


async def _complete_task_run(stage: Stage, flow_run_id: str) -> None:
    state = {"type": "COMPLETED", "name": "Completed", "message": "", "state_details": {}}
    made = await stage.prefect.post(
        "/task_runs/",
        json={
            "flow_run_id": flow_run_id,
            "task_key": "counted",
            "dynamic_key": str(uuid4()),
            "name": "counted",
            "state": {"type": "RUNNING", "name": "Running"},
        },
    )
    path = f"/task_runs/{made.raise_for_status().json()['id']}/set_state"
    (await stage.prefect.post(path, json={"state": state, "force": True})).raise_for_status()


def _filled(value: Any, ids: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {name: _filled(one, ids) for name, one in value.items()}
    if isinstance(value, list):
        return [_filled(one, ids) for one in value]
    return value.format(**ids) if isinstance(value, str) else value


def _rows(response: httpx.Response) -> list[Any]:
    found = response.json()
    rows: list[Any] = found["results"] if isinstance(found, dict) else found
    return rows


def _counts(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _counts(one) for name, one in value.items() if not name.startswith(("sum_", "interval_"))}
    if isinstance(value, list):
        return [_counts(one) for one in value]
    return value


def _without_ids(response: httpx.Response) -> dict[str, Any]:
    differing = {"detail", "instance", "request_id"}
    return {name: value for name, value in response.json().items() if name not in differing}
