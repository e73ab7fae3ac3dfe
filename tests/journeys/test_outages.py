import json

import pytest

from tests.journeys.conftest import Running

pytestmark = pytest.mark.journey


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
