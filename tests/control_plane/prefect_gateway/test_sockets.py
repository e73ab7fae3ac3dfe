"""The WebSockets of workers and flow runs, through the gateway to a real Prefect server."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from tests.prefect_sockets import closed, connected, hear, say, signed_in
from tests.prefect_stage import Stage

pytestmark = pytest.mark.journey

CANCELLING = "prefect.flow-run.Cancelling"


def hello(**changes: Any) -> dict[str, Any]:
    payload = {
        "consumer_id": str(uuid4()),
        "worker_name": f"worker-{uuid4()}",
        "worker_type": "process",
        "heartbeat_interval_seconds": 30,
        "supported_channel_versions": ["work_pool_worker_channel.v1"],
        "requested_capabilities": ["worker_heartbeat.v1", "work_pool_snapshot.v1"],
    }
    now = datetime.now(UTC).isoformat()
    return {"type": "worker.hello.v1", "id": str(uuid4()), "sent_at": now, "payload": payload | changes}


def subscription(*names: str) -> dict[str, Any]:
    """What Prefect's subscribers send."""
    occurred = {"since": "2026-01-01T00:00:00Z", "until": "2100-01-01T00:00:00Z"}
    event = {"prefix": None, "exclude_prefix": None, "name": names, "exclude_name": None}
    return {"type": "filter", "filter": {"occurred": occurred, "event": event, "related": None, "id": {"id": []}}}


async def test_a_worker_opens_its_channel_and_learns_of_its_pool(stage: Stage) -> None:
    url = f"{stage.socket_url}/work_pools/{stage.acme.ids['work_pool']}/workers/connect"
    async with signed_in(url, stage.acme.session_token) as socket:
        await say(socket, hello())
        ready = await hear(socket)

    assert ready["type"] == "worker.ready.v1"
    assert ready["payload"]["initial_snapshot"]["work_pool"]["name"] == stage.acme.ids["work_pool"]
    assert [queue["name"] for queue in ready["payload"]["resolved_work_queues"]] == ["default"]


async def test_a_worker_can_sign_in_with_its_header_alone(stage: Stage) -> None:
    async with connected(f"{stage.socket_url}/events/in", header=stage.acme.session_token) as socket:
        await say(socket, {"type": "auth", "token": None})
        answer = await hear(socket)

    assert answer == {"type": "auth_success"}


async def test_a_hello_never_brings_a_job_template(stage: Stage) -> None:
    work_pool = stage.acme.ids["work_pool"]
    before = (await stage.prefect.get(f"/work_pools/{work_pool}")).json()
    # Prefect takes the template of a worker where the pool has none.
    await stage.prefect.patch(f"/work_pools/{work_pool}", json={"base_job_template": {}})
    template = {"job_configuration": {"command": "{{ command }}"}, "variables": {"properties": {"command": {}}}}
    url = f"{stage.socket_url}/work_pools/{work_pool}/workers/connect"
    async with signed_in(url, stage.acme.session_token) as socket:
        await say(socket, hello(default_base_job_template=template, create_pool_if_not_found=True))
        await hear(socket)
    after = (await stage.prefect.get(f"/work_pools/{work_pool}")).json()
    await stage.prefect.patch(f"/work_pools/{work_pool}", json={"base_job_template": before["base_job_template"]})

    assert after["base_job_template"] == {}


async def test_a_frame_of_another_kind_ends_a_workers_channel(stage: Stage) -> None:
    url = f"{stage.socket_url}/work_pools/{stage.acme.ids['work_pool']}/workers/connect"
    async with signed_in(url, stage.acme.session_token) as socket:
        await say(socket, hello() | {"type": "cleanup.ack.v1"})
        code, _ = await closed(socket)

    assert code == 1002


async def test_a_worker_hears_that_a_flow_run_of_its_pool_shall_stop_and_of_no_other(stage: Stage) -> None:
    _, other = await stage.run(stage.globex)
    _, mine = await stage.run(stage.acme)
    async with signed_in(f"{stage.socket_url}/events/out", stage.acme.session_token) as socket:
        await say(socket, subscription(CANCELLING))
        await stage.cancel(other)
        await stage.cancel(mine)
        heard = [(await hear(socket))["event"]]
        while heard[-1]["resource"]["prefect.resource.id"] != f"prefect.flow-run.{mine}":
            heard.append((await hear(socket))["event"])

    assert other not in str(heard)


async def test_a_flow_run_hears_of_itself_alone(stage: Stage) -> None:
    execution_id, mine = await stage.run(stage.acme)
    _, neighbour = await stage.run(stage.acme)
    claim = await stage.acme.tenant.claim(execution_id)
    async with signed_in(f"{stage.socket_url}/events/out", claim["execution_token"]) as socket:
        await say(socket, subscription(CANCELLING))
        await stage.cancel(neighbour)
        await stage.cancel(mine)
        heard = (await hear(socket))["event"]["resource"]["prefect.resource.id"]

    assert heard == f"prefect.flow-run.{mine}"


@pytest.mark.parametrize("message", [subscription("prefect.block.created"), {"type": "filter", "filter": {}}])
async def test_events_that_nobody_needs_are_not_offered(stage: Stage, message: dict[str, Any]) -> None:
    async with signed_in(f"{stage.socket_url}/events/out", stage.acme.session_token) as socket:
        await say(socket, message)
        code, reason = await closed(socket)

    assert code == 1002
    assert "subscribe" in (reason or "")


async def test_a_connection_ends_within_five_seconds_after_its_session(stage: Stage) -> None:
    session = await stage.joined(stage.acme)
    async with signed_in(f"{stage.socket_url}/events/out", session["session_token"]) as socket:
        await say(socket, subscription(CANCELLING))
        async with stage.through(session["session_token"]) as http:
            await http.delete(f"{stage.api_url}/api/v1/worker-sessions/current")
        code, reason = await closed(socket, seconds=5)

    assert (code, reason) == (1008, "authentication_failed")


async def test_who_says_nothing_is_sent_away(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("control_plane.prefect_gateway.handshake.SIGN_IN_WITHIN", 0.1)
    async with connected(f"{stage.socket_url}/events/in") as socket:
        code, reason = await closed(socket)

    assert (code, reason) == (1008, "authentication_failed")
