import json
import os
import signal
from uuid import uuid4

import httpx
import pytest

from control_plane.embedded.processes import answers
from tests.journeys.conftest import Running, flow_process
from tests.journeys.slack import indiscreet_slack

pytestmark = pytest.mark.journey

SLOW = [{"delay_seconds": 60}, {"say": "too late"}]
UNBROKEN = [
    {"tools": [{"tool": "clock_now"}]},
    {"delay_seconds": 2},
    {"tools": [{"tool": "clock_now"}]},
    {"say": "Told to the end."},
]


def restarted_prefect(running: Running) -> None:
    """Kill Prefect's server without asking, start it again, and wait until it answers."""
    prefect = running.stack.processes["Prefect server"]
    prefect.kill()
    prefect.start()
    prefect.wait_until(lambda: answers(f"{running.stack.prefect.api_url}/health"), seconds=60)


def test_an_execution_runs_as_a_flow_run_under_policy(running: Running) -> None:
    steps = [
        {"tool": "files_write", "arguments": {"path": "a.txt", "content": "kept"}},
        {"tool": "files_delete", "arguments": {"path": "a.txt"}},
        {"tool": "files_read", "arguments": {"path": "a.txt"}},
        {"say": "That was all."},
    ]

    ended, events = running.finished(running.start(running.agent("governed"), json.dumps(steps)))

    told = [
        (event.type, event.data.get("data", event.data).get("tool_name"))
        for event in events
        if event.type in {"decision", "tool_started", "tool_completed"}
    ]
    outputs = {
        event.data["data"]["tool_name"]: event.data["data"]["tool_output"]
        for event in events
        if event.type == "tool_completed"
    }
    assert ended["status"] == "completed"
    assert ended["response"] == "That was all."
    assert told == [
        ("decision", "files_write"),
        ("tool_started", "files_write"),
        ("tool_completed", "files_write"),
        ("decision", "files_delete"),
        ("tool_completed", "files_delete"),
        ("decision", "files_read"),
        ("tool_started", "files_read"),
        ("tool_completed", "files_read"),
    ]
    assert "policy no_destructive_tools v1, rule destroy" in outputs["files_delete"]["error"]
    assert outputs["files_read"] == {"result": "kept"}
    assert [event.data["status"] for event in events if event.type == "status"] == [
        "pending",
        "scheduled",
        "running",
        "completed",
    ]
    assert [event.number for event in events] == list(range(1, len(events) + 1))


def test_prefect_learns_the_execution_id_and_the_outcome_and_nothing_else(running: Running) -> None:
    canary = f"canary{uuid4().hex}"
    steps = [
        {"tool": "files_write", "arguments": {"path": f"{canary}.txt", "content": canary}},
        {"tool": "files_read", "arguments": {"path": f"{canary}.txt"}},
        {"tool": "files_read", "arguments": {"path": f"missing-{canary}"}},
        {"say": canary},
    ]

    ended, events = running.finished(running.start(running.agent("discreet"), json.dumps(steps), secret=canary))

    flow_run = running.ended_flow_run(ended)
    database = running.stack.data.path / "prefect"
    kept = b"".join(file.read_bytes() for file in database.glob("prefect.db*"))
    logs = "".join(log.read_text(errors="replace") for log in (running.stack.data.path / "logs").iterdir())
    assert canary in json.dumps([event.data for event in events])
    assert flow_run["parameters"] == {"execution_id": ended["id"]}
    assert flow_run["state"]["type"] == "COMPLETED"
    assert f"execution:{ended['id']}" in flow_run["tags"]
    assert "organization:demo" in flow_run["tags"]
    assert ended["id"].encode() in kept
    assert canary.encode() not in kept
    assert canary not in logs
    assert running.tenant.worker_key.encode() not in kept
    assert running.tenant.worker_key not in logs


def test_a_policy_that_never_ends_denies_and_harms_nobody(running: Running) -> None:
    module = """package endless

deny contains "never said" if {
	input.tool.name == "files_write"
	count([x | some a in numbers.range(1, 100000); some b in numbers.range(1, 100000); x := a * b]) == 0
}
"""
    name = f"endless_{uuid4().hex[:8]}"
    running.rest.post("/policies", {"name": name, "module": module})
    agent = running.agent(f"patient {name}", policies=[name])
    steps = [
        {"tool": "files_write", "arguments": {"path": "a.txt", "content": "x"}},
        {"tool": "clock_now", "arguments": {}},
        {"say": "Still here."},
    ]

    ended, events = running.finished(running.start(agent, json.dumps(steps)))

    decisions = [event.data["data"] for event in events if event.type == "decision"]
    assert [decision["outcome"] for decision in decisions] == ["deny", "allow"]
    assert "took longer than 500 ms" in decisions[0]["reasons"][0]["reason"]
    assert len({decision["input_hash"] for decision in decisions}) == 2
    assert ended["response"] == "Still here."


def test_cancelling_stops_a_running_execution(running: Running) -> None:
    execution = running.start(running.agent("slow"), json.dumps(SLOW))
    stream = running.rest.follow(execution["id"])
    statuses = (event.data["status"] for event in stream if event.type == "status")
    while next(statuses) != "running":
        continue

    running.rest.delete(f"/executions/{execution['id']}")

    assert next(statuses) == "cancelled"
    assert running.rest.get(f"/executions/{execution['id']}")["status"] == "cancelled"


def test_a_process_killed_in_mid_execution_is_noticed_and_the_execution_says_so(running: Running) -> None:
    execution = running.start(running.agent("orphaned"), json.dumps(SLOW))
    stream = running.rest.follow(execution["id"])
    while next(stream).data.get("status") != "running":
        continue

    os.kill(flow_process(running, execution), signal.SIGKILL)
    done = list(stream)[-1]

    assert done.type == "done"
    assert done.data["status"] == "failed"
    assert running.rest.get(f"/executions/{execution['id']}")["error_code"] == "worker_lost"


def test_while_prefect_is_down_executions_are_accepted_and_run_when_it_is_back(running: Running) -> None:
    agent = running.agent("undeterred")
    prefect = running.stack.processes["Prefect server"]
    prefect.stop()

    accepted = [running.start(agent, json.dumps([{"say": f"run {number}"}])) for number in range(3)]
    meanwhile = [running.rest.get(f"/executions/{execution['id']}")["status"] for execution in accepted]
    prefect.restart()
    ended = [running.finished(execution)[0] for execution in accepted]

    assert meanwhile == ["pending"] * 3
    assert [execution["status"] for execution in ended] == ["completed"] * 3
    assert [execution["response"] for execution in ended] == ["run 0", "run 1", "run 2"]
    assert len({execution["flow_run_id"] for execution in ended}) == 3


def test_a_restart_of_the_api_in_the_middle_costs_no_event_and_repeats_none(running: Running) -> None:
    steps = [
        {"tools": [{"tool": "clock_now"}]},
        {"delay_seconds": 2},
        {"tools": [{"tool": "clock_now"}]},
        {"say": "Told to the end."},
    ]
    api = running.stack.processes["API"]
    execution = running.start(running.agent("unbroken"), json.dumps(steps))
    stream = running.rest.follow(execution["id"])
    before = [next(stream)]
    while before[-1].type != "tool_started":
        before.append(next(stream))

    api.restart()
    events = before + list(stream)

    ended = running.rest.get(f"/executions/{execution['id']}")
    assert (ended["status"], ended["response"], ended["error"]) == ("completed", "Told to the end.", None)
    assert [event.number for event in events] == list(range(1, len(events) + 1))
    assert [event.type for event in events].count("tool_completed") == 2


def test_an_execution_outlives_the_killing_of_the_api(running: Running) -> None:
    api = running.stack.processes["API"]
    execution = running.start(running.agent("unbroken"), json.dumps(UNBROKEN))
    stream = running.rest.follow(execution["id"])
    before = [next(stream)]
    while before[-1].type != "tool_started":
        before.append(next(stream))

    api.kill()
    api.start()
    events = before + list(stream)

    ended = running.rest.get(f"/executions/{execution['id']}")
    assert (ended["status"], ended["response"], ended["error"]) == ("completed", "Told to the end.", None)
    assert [event.number for event in events] == list(range(1, len(events) + 1))
    assert [event.type for event in events].count("tool_completed") == 2


def test_an_execution_outlives_the_killing_of_prefect(running: Running) -> None:
    execution = running.start(running.agent("unbroken"), json.dumps(UNBROKEN))
    stream = running.rest.follow(execution["id"])
    while next(stream).type != "tool_started":
        continue

    restarted_prefect(running)
    events = list(stream)

    ended = running.rest.get(f"/executions/{execution['id']}")
    assert (ended["status"], ended["response"], ended["error"]) == ("completed", "Told to the end.", None)
    assert [event.type for event in events].count("tool_completed") == 2


def test_an_execution_that_waits_while_prefect_is_killed_runs_afterwards(running: Running) -> None:
    os.kill(running.worker.popen.pid, signal.SIGSTOP)
    execution = running.start(running.agent("patient"), json.dumps([{"say": "Here at last."}]))
    stream = running.rest.follow(execution["id"])
    while next(stream).data.get("status") != "scheduled":
        continue

    restarted_prefect(running)
    os.kill(running.worker.popen.pid, signal.SIGCONT)

    ended, _ = running.finished(execution)
    assert (ended["status"], ended["response"]) == ("completed", "Here at last.")
    assert running.ended_flow_run(ended)["state"]["type"] == "COMPLETED"


def test_an_agent_that_asks_another_which_asks_a_third_needs_one_place_on_one_worker(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    project_id = running.tenant.environment["project_id"]
    narrow = running.rest.post("/environments", {"name": "Narrow", "slug": "narrow", "project_id": project_id})
    environment = running.stack.wait_for_pool(running.rest, narrow["id"])
    [queue] = running.rest.get(f"/environments/{environment['id']}/worker-queues")
    httpx.patch(
        f"{running.stack.api_url}/api/v1/worker-queues/{queue['id']}",
        json={"concurrency_limit": 1},
        headers={"Authorization": f"Bearer {running.tenant.api_key}"},
        trust_env=False,
    ).raise_for_status()
    key = running.rest.post(f"/environments/{environment['id']}/worker-keys", {"name": "narrow"})["key"]
    place = {"environment_id": environment["id"]}
    running.agent("Third", **place)
    running.agent("Second", toolsets=["agent"], **place)
    first = running.agent("First", toolsets=["agent"], **place)
    below = [{"tool": "agent_ask", "arguments": {"agent": "Third", "message": '[{"say": "From the third."}]'}}]
    message = json.dumps([*below, {"say": "From the second."}])
    steps = [{"tool": "agent_ask", "arguments": {"agent": "Second", "message": message}}, {"say": "From the first."}]
    monkeypatch.setenv("CONTROL_PLANE_WORKER_SLOTS", "1")
    worker = running.stack.start_worker(environment["work_pool"], key)

    ended, events = running.finished(running.start(first, json.dumps(steps)))
    worker.stop()

    [second] = running.rest.get("/executions", parent_execution_id=ended["id"])
    [third] = running.rest.get("/executions", parent_execution_id=second["id"])
    [output] = [event.data["data"]["tool_output"] for event in events if event.type == "tool_completed"]
    assert (ended["status"], ended["response"]) == ("completed", "From the first.")
    assert (output["agent"], output["response"], output["execution_id"]) == ("Second", "From the second.", second["id"])
    assert (third["response"], third["depth"], third["root_execution_id"]) == ("From the third.", 2, ended["id"])
    assert len({execution["flow_run_id"] for execution in (ended, second, third)}) == 3


def test_a_secret_reaches_the_tool_that_needs_it_and_nobody_else(running: Running) -> None:
    canary = f"xoxb-canary-{uuid4().hex}"
    name = f"slack_{uuid4().hex[:8]}"
    place = {"environment_id": running.tenant.environment["id"]}
    running.rest.post("/secrets", {"name": name, "value": canary} | place)
    agent = running.agent("Discreet", toolsets=["slack", "files"])
    steps = [
        {"tool": "slack_list_channels"},
        {"tool": "files_write", "arguments": {"path": "a.txt", "content": "a" * 300}},
        {"say": "Done."},
    ]

    with indiscreet_slack() as slack:
        settings = {"base_url": slack.url, "allowed_networks": ["127.0.0.0/8"]}
        body = {"toolset": "slack", "settings": settings, "secrets": {"slack_token": name}}
        running.rest.post("/toolset-configs", body | place)
        running.rest.post("/toolset-configs", {"toolset": "files", "settings": {"read_only": True}} | place)
        ended, events = running.finished(running.start(agent, json.dumps(steps)))
    running.ended_flow_run(ended)

    told = json.dumps([event.data for event in events])
    folder = running.stack.data.path
    kept = b"".join(file.read_bytes() for file in (folder / "prefect").glob("prefect.db*"))
    logs = "".join(log.read_text(errors="replace") for log in (folder / "logs").iterdir())
    [organization] = running.rest.get("/organizations")
    audit = running.rest.get(f"/organizations/{organization['id']}/audit-log", action="secrets:release")
    assert (ended["status"], ended["response"]) == ("completed", "Done.")
    assert slack.tokens == [canary]
    assert "the token is [secret slack_token]" in told
    assert "read-only" in told
    assert canary not in told
    assert (slack.saw("DATABASE_URL="), slack.saw(canary)) == (True, False)
    assert canary.encode() not in kept
    assert canary not in logs
    assert [(entry["resource_id"], entry["actor"]) for entry in audit] == [(name, f"execution_token:{ended['id']}")]
