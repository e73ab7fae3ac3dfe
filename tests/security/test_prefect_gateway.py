"""With the credentials of one organization, nothing of another is to be had from Prefect.

The routes are read from Prefect's own document, so that what a new version adds is tested too.
"""

from typing import Any
from uuid import uuid4

import pytest

from control_plane.embedded.prefect_server import PrefectServer
from tests.prefect_sockets import closed, connected, hear, say, signed_in
from tests.prefect_stage import Stage
from tests.security.forged_events import about, forgeries, resource, subscription, task_run
from tests.security.prefect_routes import SERVED, ask_all, routes
from tests.tenants import OPERATOR_KEY

pytestmark = pytest.mark.journey

NOW = "2026-01-02T03:04:05Z"
STATE = {"state": {"type": "CANCELLED"}, "force": True}
LINE = {"name": "n", "level": 20, "message": "forged", "timestamp": NOW}


async def test_prefect_has_every_route_that_is_served(stage: Stage) -> None:
    found = await routes(stage)

    assert len(found) > 150
    assert found >= SERVED


@pytest.mark.parametrize(("token", "each", "least"), [("session_token", 10, 700), ("execution_token", 3, 300)])
async def test_no_route_opens_anything_of_another_organization(
    stage: Stage, prefect_server: PrefectServer, token: str, each: int, least: int
) -> None:
    before = await stage.known(stage.globex)
    async with stage.acme.through(stage, getattr(stage.acme, token)) as http:
        answers = await ask_all(http, await routes(stage), stage.globex, each=each)

    told = [answer for answer in answers if stage.globex.canary in answer.text]
    assert len(answers) > least
    assert [answer for answer in answers if answer.success] == []
    assert told == []
    assert [answer for answer in answers if prefect_server.auth_string in answer.text] == []
    assert await stage.known(stage.globex) == before


async def test_what_is_not_served_is_refused_about_own_things_too(stage: Stage) -> None:
    before = await stage.known(stage.acme)
    async with stage.acme.through(stage) as http:
        answers = await ask_all(http, await routes(stage) - SERVED, stage.acme, each=3)

    assert {answer.status for answer in answers} == {403}
    assert await stage.known(stage.acme) == before


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
        ("PATCH", "/work_pools/{work_pool}", {"base_job_template": {}}),
        ("POST", "/deployments/", {"name": "forged", "flow_id": "{deployment_id}"}),
        ("POST", "/flow_runs/", {"flow_id": "{deployment_id}"}),
    ],
)
async def test_a_sound_request_about_a_foreign_thing_is_refused(
    stage: Stage, method: str, path: str, body: dict[str, Any], token: str
) -> None:
    before = await stage.known(stage.globex)
    async with stage.acme.through(stage, getattr(stage.acme, token)) as http:
        response = await http.request(method, path.format(**stage.globex.ids), json=body)

    assert response.status_code in {403, 404}
    assert await stage.known(stage.globex) == before


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH"])
async def test_a_foreign_flow_run_is_answered_like_one_that_never_existed(stage: Stage, method: str) -> None:
    ending = {"GET": "", "PATCH": "", "POST": "/set_state"}[method]
    body = {"GET": None, "PATCH": {"infrastructure_pid": "1"}, "POST": STATE}[method]
    async with stage.acme.through(stage) as http:
        foreign = await http.request(method, f"/flow_runs/{stage.globex.ids['flow_run_id']}{ending}", json=body)
        unknown = await http.request(method, f"/flow_runs/{uuid4()}{ending}", json=body)

    differing = {"detail", "instance", "request_id"}
    assert foreign.status_code == unknown.status_code == 404
    assert {name: value for name, value in foreign.json().items() if name not in differing} == {
        name: value for name, value in unknown.json().items() if name not in differing
    }


@pytest.mark.parametrize("token", ["session_token", "execution_token"])
async def test_no_line_is_added_to_a_foreign_log(stage: Stage, token: str) -> None:
    mine, foreign = stage.acme.ids, stage.globex.ids
    before = await stage.known(stage.globex)
    async with stage.acme.through(stage, getattr(stage.acme, token)) as http:
        of_flow_run = await http.post("/logs/", json=[LINE | {"flow_run_id": foreign["flow_run_id"]}])
        of_task_run = await http.post(
            "/logs/", json=[LINE | {"flow_run_id": mine["flow_run_id"], "task_run_id": foreign["task_run_id"]}]
        )

    assert [of_flow_run.status_code, of_task_run.status_code] == [404, 404]
    assert await stage.known(stage.globex) == before


async def test_a_flow_run_is_not_labelled_with_a_foreign_pool(stage: Stage) -> None:
    async with stage.acme.through(stage) as http:
        response = await http.patch(
            f"/flow_runs/{stage.acme.ids['flow_run_id']}/labels",
            json={"prefect.work-pool.id": stage.globex.ids["work_pool_id"]},
        )

    assert response.status_code == 404


def _key(stage: Stage, kind: str) -> str:
    keys = {"worker key": stage.acme.tenant.worker_key, "API key": stage.acme.tenant.api_key, "operator": OPERATOR_KEY}
    return keys[kind]


@pytest.mark.parametrize("kind", ["worker key", "API key", "operator"])
@pytest.mark.parametrize("path", ["/admin/version", "/work_pools/{work_pool}", "/blocks"])
async def test_only_a_session_or_an_execution_token_opens_the_gateway(stage: Stage, kind: str, path: str) -> None:
    async with stage.through(_key(stage, kind)) as http:
        response = await http.get(path.format(**stage.acme.ids))

    assert response.status_code == 403


@pytest.mark.parametrize("path", ["/admin/version", "/work_pools/{work_pool}", "/no/such/thing"])
async def test_nobody_gets_in_without_a_credential(stage: Stage, path: str) -> None:
    async with stage.through("cps_no-such-session") as http:
        response = await http.get(path.format(**stage.acme.ids))

    assert response.status_code == 401


@pytest.mark.parametrize("kind", ["worker key", "API key", "operator"])
@pytest.mark.parametrize("path", ["/events/in", "/events/out", "/work_pools/{work_pool}/workers/connect"])
async def test_no_websocket_opens_for_another_credential(stage: Stage, kind: str, path: str) -> None:
    async with connected(stage.socket_url + path.format(**stage.acme.ids)) as socket:
        await say(socket, {"type": "auth", "token": _key(stage, kind)})
        end = await closed(socket)

    assert end == (1008, "authentication_failed")


@pytest.mark.parametrize("first", [{"type": "auth"}, {"type": "auth", "token": "cps_no"}, {"type": "filter"}])
async def test_no_websocket_opens_without_a_credential(stage: Stage, first: dict[str, Any]) -> None:
    async with connected(f"{stage.socket_url}/events/out") as socket:
        await say(socket, first)
        end = await closed(socket)

    assert end == (1008, "authentication_failed")


@pytest.mark.parametrize("of", ["acme", "globex"])
async def test_an_execution_token_opens_no_workers_channel(stage: Stage, of: str) -> None:
    work_pool = {"acme": stage.acme, "globex": stage.globex}[of].ids["work_pool"]
    async with connected(f"{stage.socket_url}/work_pools/{work_pool}/workers/connect") as socket:
        await say(socket, {"type": "auth", "token": stage.acme.execution_token})
        end = await closed(socket)

    assert end == (1008, "authorization_failed")


async def test_a_worker_opens_no_channel_to_a_foreign_pool(stage: Stage) -> None:
    url = f"{stage.socket_url}/work_pools/{stage.globex.ids['work_pool']}/workers/connect"
    async with signed_in(url, stage.acme.session_token) as socket:
        end = await closed(socket)

    assert end == (1008, "authorization_failed")


@pytest.mark.parametrize("token", ["session_token", "execution_token"])
async def test_no_event_speaks_of_foreign_things(stage: Stage, token: str) -> None:
    mine, foreign = stage.acme.ids, stage.globex.ids
    task_run_id = str(uuid4())
    last = task_run(task_run_id, resource("flow-run", mine["flow_run_id"]))
    before = await stage.known(stage.globex)
    async with signed_in(f"{stage.socket_url}/events/in", getattr(stage.acme, token)) as socket:
        for forged in [*forgeries(mine, foreign), last]:
            await say(socket, forged)
        recorded = await stage.recorded(f"/task_runs/{task_run_id}")
    events = (await stage.prefect.post("/events/filter", json=about(stage.globex))).json()["events"]

    assert recorded["flow_run_id"] == mine["flow_run_id"]
    assert "forged" not in str(events)
    assert await stage.known(stage.globex) == before


@pytest.mark.parametrize("token", ["session_token", "execution_token"])
async def test_no_event_that_is_posted_speaks_of_foreign_things(stage: Stage, token: str) -> None:
    mine, foreign = stage.acme.ids, stage.globex.ids
    task_run_id = str(uuid4())
    last = task_run(task_run_id, resource("flow-run", mine["flow_run_id"]))
    before = await stage.known(stage.globex)
    async with stage.acme.through(stage, getattr(stage.acme, token)) as http:
        for forged in forgeries(mine, foreign):
            await http.post("/events", json=[forged])
        told = await http.post("/events", json=[last])
    recorded = await stage.recorded(f"/task_runs/{task_run_id}")
    events = (await stage.prefect.post("/events/filter", json=about(stage.globex))).json()["events"]

    assert told.status_code == 204
    assert recorded["flow_run_id"] == mine["flow_run_id"]
    assert "forged" not in str(events)
    assert await stage.known(stage.globex) == before


async def test_of_events_that_are_posted_together_all_are_told_or_none(stage: Stage) -> None:
    mine, foreign = stage.acme.ids["flow_run_id"], stage.globex.ids["flow_run_id"]
    refused, told = str(uuid4()), str(uuid4())
    async with stage.acme.through(stage) as http:
        mixed = [task_run(refused, resource("flow-run", mine)), task_run(str(uuid4()), resource("flow-run", foreign))]
        response = await http.post("/events", json=mixed)
        await http.post("/events", json=[task_run(told, resource("flow-run", mine))])
    await stage.recorded(f"/task_runs/{told}")

    assert response.status_code == 404
    assert (await stage.prefect.get(f"/task_runs/{refused}")).status_code == 404


@pytest.mark.parametrize("token", ["session_token", "execution_token"])
async def test_no_event_of_foreign_things_is_heard(stage: Stage, token: str) -> None:
    execution_id, mine = await stage.run(stage.acme)
    _, foreign = await stage.run(stage.globex)
    claim = await stage.acme.tenant.claim(execution_id)
    credential = {"session_token": stage.acme.session_token, "execution_token": claim["execution_token"]}[token]
    async with signed_in(f"{stage.socket_url}/events/out", credential) as socket:
        await say(socket, subscription(stage.globex, foreign))
        await stage.cancel(foreign)
        await stage.cancel(mine)
        heard = [await hear(socket)]
        while mine not in str(heard[-1]):
            heard.append(await hear(socket))

    assert foreign not in str(heard)
    assert stage.globex.canary not in str(heard)
