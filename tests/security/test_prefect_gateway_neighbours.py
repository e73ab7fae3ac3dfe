"""What belongs to another environment or project of the same organization is as far away in Prefect as a foreigner's.

The organization is the same in every credential here, so only the environment in it can keep the two apart.
"""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest

from tests.prefect_sockets import closed, hear, say, signed_in
from tests.prefect_stage import Side, Stage
from tests.security.forged_events import about, forgeries, resource, subscription, task_run
from tests.security.neighbours import neighbour
from tests.security.prefect_routes import ask_all, routes
from tests.tenants import created

pytestmark = pytest.mark.journey

STATE = {"state": {"type": "CANCELLED"}, "force": True}
LINE = {"name": "n", "level": 20, "message": "forged", "timestamp": "2026-01-02T03:04:05Z"}


@pytest.fixture(scope="module", params=["another environment", "another project"])
async def beside(stage: Stage, request: pytest.FixtureRequest) -> AsyncIterator[Side]:
    """Somebody's things in another environment of `acme`, in the same project or in another one."""
    slug = str(request.param).rpartition(" ")[2]
    other = await created(stage.acme.tenant.client, "/projects", {"name": slug, "slug": slug})
    project = {"another environment": stage.acme.tenant.project, "another project": other}[request.param]
    async with neighbour(stage, stage.acme, project=project, slug=slug) as side:
        yield side


@pytest.mark.parametrize(("token", "least"), [("session_token", 300), ("execution_token", 300)])
async def test_no_route_opens_anything_of_a_neighbour(stage: Stage, beside: Side, token: str, least: int) -> None:
    before = await stage.known(beside)
    async with stage.acme.through(stage, getattr(stage.acme, token)) as http:
        answers = await ask_all(http, await routes(stage), beside, each=3)

    assert beside.tenant.organization == stage.acme.tenant.organization
    assert len(answers) > least
    assert [answer for answer in answers if answer.success] == []
    assert [answer for answer in answers if beside.canary in answer.text] == []
    assert await stage.known(beside) == before


async def test_its_own_credentials_open_what_a_neighbour_can_not_see(stage: Stage, beside: Side) -> None:
    async with beside.through(stage) as http:
        by_session = await http.get(f"/flow_runs/{beside.ids['flow_run_id']}")
    async with beside.through(stage, beside.execution_token) as http:
        by_token = await http.get(f"/flow_runs/{beside.ids['flow_run_id']}")

    assert [by_session.status_code, by_token.status_code] == [200, 200]


@pytest.mark.parametrize("token", ["session_token", "execution_token"])
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/flow_runs/{flow_run_id}/set_state", STATE),
        ("PATCH", "/flow_runs/{flow_run_id}", {"infrastructure_pid": "1"}),
        ("PATCH", "/flow_runs/{flow_run_id}/labels", {"prefect.worker.name": "forged"}),
        ("POST", "/work_pools/{work_pool}/get_scheduled_flow_runs", {"work_queue_names": ["default"]}),
        ("POST", "/work_pools/{work_pool}/queues/filter", {"limit": 200, "offset": 0}),
        ("POST", "/work_pools/{work_pool}/workers/heartbeat", {"name": "forged"}),
    ],
)
async def test_a_sound_request_about_a_thing_of_a_neighbour_is_refused(
    stage: Stage, beside: Side, method: str, path: str, body: dict[str, Any], token: str
) -> None:
    before = await stage.known(beside)
    async with stage.acme.through(stage, getattr(stage.acme, token)) as http:
        response = await http.request(method, path.format(**beside.ids), json=body)

    assert response.status_code in {403, 404}
    assert await stage.known(beside) == before


@pytest.mark.parametrize("token", ["session_token", "execution_token"])
async def test_a_flow_run_of_a_neighbour_is_answered_like_one_that_never_existed(
    stage: Stage, beside: Side, token: str
) -> None:
    async with stage.acme.through(stage, getattr(stage.acme, token)) as http:
        foreign = await http.get(f"/flow_runs/{beside.ids['flow_run_id']}")
        unknown = await http.get(f"/flow_runs/{uuid4()}")
        found = await http.post("/flow_runs/filter", json={"flow_runs": {"id": {"any_": [beside.ids["flow_run_id"]]}}})

    differing = {"detail", "instance", "request_id"}
    assert foreign.status_code == unknown.status_code == 404
    assert {name: value for name, value in foreign.json().items() if name not in differing} == {
        name: value for name, value in unknown.json().items() if name not in differing
    }
    assert found.json() == []


@pytest.mark.parametrize("token", ["session_token", "execution_token"])
async def test_no_line_is_added_to_the_log_of_a_neighbour(stage: Stage, beside: Side, token: str) -> None:
    mine, theirs = stage.acme.ids, beside.ids
    before = await stage.known(beside)
    async with stage.acme.through(stage, getattr(stage.acme, token)) as http:
        of_flow_run = await http.post("/logs/", json=[LINE | {"flow_run_id": theirs["flow_run_id"]}])
        of_task_run = await http.post(
            "/logs/", json=[LINE | {"flow_run_id": mine["flow_run_id"], "task_run_id": theirs["task_run_id"]}]
        )

    assert [of_flow_run.status_code, of_task_run.status_code] == [404, 404]
    assert await stage.known(beside) == before


async def test_what_waits_in_a_neighbours_queue_of_the_same_name_is_not_handed_out(stage: Stage, beside: Side) -> None:
    _, mine = await stage.run(stage.acme)
    _, theirs = await stage.run(beside)
    own_pool = f"/work_pools/{stage.acme.ids['work_pool']}/get_scheduled_flow_runs"

    async with stage.acme.through(stage) as http:
        response = await http.post(own_pool, json={"work_queue_names": ["default"]})

    assert mine in response.text
    assert theirs not in response.text


async def test_a_worker_opens_no_channel_to_the_pool_of_a_neighbour(stage: Stage, beside: Side) -> None:
    url = f"{stage.socket_url}/work_pools/{beside.ids['work_pool']}/workers/connect"
    async with signed_in(url, stage.acme.session_token) as socket:
        end = await closed(socket)

    assert end == (1008, "authorization_failed")


@pytest.mark.parametrize("token", ["session_token", "execution_token"])
async def test_no_event_speaks_of_a_neighbours_things(stage: Stage, beside: Side, token: str) -> None:
    mine, theirs = stage.acme.ids, beside.ids
    task_run_id = str(uuid4())
    last = task_run(task_run_id, resource("flow-run", mine["flow_run_id"]))
    before = await stage.known(beside)
    async with signed_in(f"{stage.socket_url}/events/in", getattr(stage.acme, token)) as socket:
        for forged in [*forgeries(mine, theirs), last]:
            await say(socket, forged)
        recorded = await stage.recorded(f"/task_runs/{task_run_id}")
    events = (await stage.prefect.post("/events/filter", json=about(beside))).json()["events"]

    assert recorded["flow_run_id"] == mine["flow_run_id"]
    assert "forged" not in str(events)
    assert await stage.known(beside) == before


@pytest.mark.parametrize("token", ["session_token", "execution_token"])
async def test_no_event_of_a_neighbours_things_is_heard(stage: Stage, beside: Side, token: str) -> None:
    execution_id, mine = await stage.run(stage.acme)
    _, theirs = await stage.run(beside)
    claim = await stage.acme.tenant.claim(execution_id)
    credential = {"session_token": stage.acme.session_token, "execution_token": claim["execution_token"]}[token]
    async with signed_in(f"{stage.socket_url}/events/out", credential) as socket:
        await say(socket, subscription(beside, theirs))
        await stage.cancel(theirs)
        await stage.cancel(mine)
        heard = [await hear(socket)]
        while mine not in str(heard[-1]):
            heard.append(await hear(socket))

    assert theirs not in str(heard)
    assert beside.canary not in str(heard)
