import asyncio
import logging
import os
import time
from typing import Any

import pytest

from control_plane.client import Refused, WorkerClient
from control_plane.wire.executions import MAX_BATCH_BYTES, Claim, EventReport, Finish, Handover
from control_plane.wire.plan import Plan
from flows.runtimes.installed import load
from flows.runtimes.protocol import RunFailed
from tests.conftest import TestDatabase
from tests.flows import bench
from tests.flows.prefect_api import PrefectApi
from tests.flows.stage import Say, Stage, Tools, stage
from tests.tenants import Tenant
from tests.worker import events_of

pytestmark = pytest.mark.integration


async def raises(error: BaseException) -> str:
    raise error


async def test_an_execution_is_carried_out_and_its_end_told(on: Stage) -> None:
    async def act(tools: Tools, _say: Say) -> str:
        return await tools["hammer"].call({"nail": "long"})

    on.runtime.act = act

    state = await on.play()

    execution = await on.read()
    assert state.is_completed()
    assert (execution["status"], bench.SECRET in execution["response"]) == ("completed", True)
    assert execution["usage"]["tool_calls"] == 1
    assert bench.ran == [{"nail": "long", "blows": 3}]
    assert "CONTROL_PLANE_API_KEY" not in os.environ


async def test_an_execution_that_the_worker_has_claimed_is_carried_out_with_its_token_alone(
    on: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = await on.tenant.claim(on.execution_id, with_plan=True)
    handed = Handover(claim=Claim.model_validate(claim), claimed_at=time.monotonic())
    monkeypatch.setenv("CONTROL_PLANE_CLAIM", handed.model_dump_json())
    monkeypatch.delenv("CONTROL_PLANE_API_KEY")
    on.runtime.act = on.runtime.answer

    state = await on.play()

    assert state.is_completed()
    assert (await on.read())["status"] == "completed"
    assert "CONTROL_PLANE_CLAIM" not in os.environ
    assert [message.content for message in on.runtime.messages] == ["canary-prompt"]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RunFailed("The model is on fire.", code="model_call_failed"), "model_call_failed"),
        (ValueError("canary-bug"), "internal_error"),
        (SystemExit("canary-exit"), "internal_error"),
        (TimeoutError("canary-time"), "internal_error"),
        (asyncio.CancelledError("canary-cancel"), "internal_error"),
    ],
)
async def test_whatever_a_runtime_raises_ends_the_execution_with_a_code(
    on: Stage, error: BaseException, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    on.runtime.act = lambda _tools, _say: raises(error)

    state = await on.play()

    execution = await on.read()
    assert state.is_failed()
    assert (execution["status"], execution["error_code"]) == ("failed", code)
    assert "canary" not in str(execution["error"]) + caplog.text + str(state.message)
    assert (execution["usage"]["model_turns"], execution["usage"]["input_tokens"]) == (1, 10)


async def test_the_longest_answer_is_told_as_far_as_it_fits(on: Stage) -> None:
    text = "\U0001f600" * MAX_BATCH_BYTES

    async def act(_tools: Tools, say: Say) -> str:
        await say(text)
        return text

    on.runtime.act = act

    state = await on.play()

    execution = await on.read()
    assert state.is_completed()
    assert execution["response"].endswith(f"(cut: it has {MAX_BATCH_BYTES} characters)")
    [message] = [event for event in await events_of(on.tenant, on.execution_id) if event["type"] == "message"]
    assert "(cut: it has" in message["data"]["content"]


async def test_an_execution_that_had_ended_is_not_carried_out(on: Stage) -> None:
    await on.cancel()

    state = await on.play()

    assert state.is_cancelled()
    assert not on.runtime.started.is_set()


async def test_an_execution_that_another_process_has_is_not_carried_out(on: Stage) -> None:
    await on.tenant.claim(on.execution_id)

    state = await on.play()

    assert state.is_failed()
    assert "refused the claim: already_claimed" in str(state.message)
    assert not on.runtime.started.is_set()


async def test_a_refused_report_ends_the_execution_and_says_why(on: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(_client: WorkerClient, _id: Any, _report: EventReport) -> None:
        raise Refused(status=413, code="body_too_large", detail="The body is too large.")

    monkeypatch.setattr(WorkerClient, "report", refuse)

    async def act(_tools: Tools, say: Say) -> str:
        await say("Well")
        return "Done."

    on.runtime.act = act

    state = await on.play()

    execution = await on.read()
    assert state.is_failed()
    assert (execution["status"], execution["error_code"]) == ("failed", "report_refused")
    assert "413 body_too_large" in execution["error"]


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (409, "lease_lost", "The lease was lost"),
        (401, "unauthenticated", "The lease was lost"),
        (422, "invalid", "refused to hear the end of the execution: invalid"),
    ],
)
async def test_a_refused_end_is_told_to_prefect(
    on: Stage, monkeypatch: pytest.MonkeyPatch, status: int, code: str, message: str
) -> None:
    async def refuse(_client: WorkerClient, _id: Any, _finish: Finish) -> None:
        raise Refused(status=status, code=code, detail="canary")

    monkeypatch.setattr(WorkerClient, "finish", refuse)
    on.runtime.act = on.runtime.answer

    state = await on.play()

    assert state.is_failed()
    assert message in str(state.message)


async def test_a_runtime_that_is_not_installed_is_told(on: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.work.load", lambda _type: load("oracle"))

    await on.play()

    execution = await on.read()
    assert execution["error_code"] == "runtime_not_found"
    assert "Installed are: agno" in execution["error"]


async def test_a_toolset_that_is_not_installed_is_told(
    acme: Tenant, prefect: PrefectApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    on = await stage(acme, prefect, monkeypatch, toolsets=["forge"])

    await on.play()

    execution = await on.read()
    assert execution["error_code"] == "toolset_not_found"
    assert "Installed are: bench" in execution["error"]
    assert not on.runtime.started.is_set()


async def test_a_plan_that_can_not_be_read_is_an_error_of_ours_and_shows_nothing(
    on: Stage, test_database: TestDatabase, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def unreadable(_client: WorkerClient, _id: Any) -> Any:
        return Plan.model_validate({"input": {"message": 5, "context": "canary-plan"}})

    monkeypatch.setattr(WorkerClient, "plan", unreadable)

    state = await on.play()

    assert (await on.read())["error_code"] == "internal_error"
    assert "canary" not in caplog.text + str(state.message)


async def test_neither_logs_nor_prefect_learn_what_an_execution_is_about(
    on: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    async def act(tools: Tools, say: Say) -> str:
        await tools["hammer"].call({"nail": "canary-argument"})
        await tools["slip"].call({})
        await tools["hammer"].call({"nail": ["canary-wrong"]})
        await say("canary-message")
        return "canary-response"

    on.runtime.act = act

    await on.play()

    told = caplog.text + on.prefect.everything()
    assert [word for word in ("canary", bench.SECRET, "cp_exec_", on.tenant.worker_key) if word in told] == []
    assert (await on.read())["response"] == "canary-response"
