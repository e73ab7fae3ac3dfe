import asyncio
import os
import signal
import sys
import time
from asyncio.subprocess import Process
from pathlib import Path

import pytest

from control_plane.wire.decisions import Outcome
from policies import regorus_engine
from policies.input import EXAMPLE
from policies.regorus_engine import RegorusEngine
from tests.policies.conftest import PATIENT
from tests.policies.rego import ALLOWS, DENIES, ENDLESS, TALKATIVE, VORACIOUS, call, policy

pytestmark = pytest.mark.integration


def child_of(engine: RegorusEngine) -> int:
    assert engine.pid is not None
    return engine.pid


def environment_of(pid: int) -> bytes:
    return Path(f"/proc/{pid}/environ").read_bytes()


def assert_gone(pid: int) -> None:
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_an_endless_policy_denies_at_the_deadline(hurried: RegorusEngine) -> None:
    started = time.monotonic()

    decision = await hurried.decide([policy(ENDLESS, name="endless")], EXAMPLE)

    assert decision.outcome is Outcome.DENY
    assert "took longer than 500 ms" in decision.reasons[0].reason
    assert decision.reasons[0].policy == "endless"
    assert time.monotonic() - started < 5


async def test_the_decision_after_an_endless_policy_succeeds(hurried: RegorusEngine) -> None:
    await hurried.decide([policy(ENDLESS)], EXAMPLE)
    hurried._deadline = PATIENT  # on a busy machine the next answer may take more than half a second

    decision = await hurried.decide([policy(ALLOWS)], EXAMPLE)

    assert decision.outcome is Outcome.ALLOW


async def test_an_endless_policy_leaves_no_process(hurried: RegorusEngine) -> None:
    pid = child_of(hurried)

    await hurried.decide([policy(ENDLESS)], EXAMPLE)

    assert_gone(pid)


async def test_a_policy_that_exhausts_memory_denies_and_the_next_decision_succeeds(engine: RegorusEngine) -> None:
    decision = await engine.decide([policy(VORACIOUS)], EXAMPLE)
    following = await engine.decide([policy(ALLOWS)], EXAMPLE)

    assert decision.outcome is Outcome.DENY
    assert "crashed the engine" in decision.reasons[0].reason
    assert following.outcome is Outcome.ALLOW


async def test_an_answer_without_measure_denies_and_the_next_decision_succeeds(engine: RegorusEngine) -> None:
    async with asyncio.timeout(60):
        decision = await engine.decide([policy(TALKATIVE)], EXAMPLE)
        following = await engine.decide([policy(ALLOWS)], EXAMPLE)

    assert decision.outcome is Outcome.DENY
    assert "answer is larger than" in decision.reasons[0].reason
    assert following.outcome is Outcome.ALLOW


async def test_a_child_killed_between_decisions_never_turns_a_deny_into_an_allow(engine: RegorusEngine) -> None:
    os.kill(child_of(engine), signal.SIGKILL)

    decision = await engine.decide([policy(DENIES)], EXAMPLE)
    following = await engine.decide([policy(ALLOWS)], EXAMPLE)

    assert decision.outcome is Outcome.DENY
    assert following.outcome is Outcome.ALLOW


async def test_a_child_killed_during_a_decision_denies_and_the_next_succeeds(engine: RegorusEngine) -> None:
    os.kill(child_of(engine), signal.SIGSTOP)  # so that it can't answer before it dies
    deciding = asyncio.create_task(engine.decide([policy(ALLOWS)], EXAMPLE))
    await asyncio.sleep(0)

    os.kill(child_of(engine), signal.SIGKILL)
    decision = await deciding
    following = await engine.decide([policy(ALLOWS)], EXAMPLE)

    assert decision.outcome is Outcome.DENY
    assert following.outcome is Outcome.ALLOW


async def test_a_cancelled_decision_leaves_no_answer_for_the_next(engine: RegorusEngine) -> None:
    pid = child_of(engine)
    os.kill(pid, signal.SIGSTOP)
    deciding = asyncio.create_task(engine.decide([policy(DENIES)], EXAMPLE))
    await asyncio.sleep(0)

    deciding.cancel()
    with pytest.raises(asyncio.CancelledError):
        await deciding
    following = await engine.decide([policy(ALLOWS)], EXAMPLE)

    assert following.outcome is Outcome.ALLOW
    assert_gone(pid)


async def test_decisions_at_the_same_time_get_their_own_answers(engine: RegorusEngine) -> None:
    echo = policy("package echo\ndeny contains input.tool.name\n")
    names = [f"tool_{number}" for number in range(50)]

    decisions = await asyncio.gather(*(engine.decide([echo], call(name=name)) for name in names))

    assert [decision.reasons[0].reason for decision in decisions] == names


async def test_more_modules_than_the_child_remembers_are_all_decided(engine: RegorusEngine) -> None:
    policies = [policy(f'package p{number}\ndeny contains "x" if false\n') for number in range(300)]

    outcomes = {(await engine.decide([each], EXAMPLE)).outcome for each in [*policies, *policies]}

    assert outcomes == {Outcome.ALLOW}


async def test_the_child_has_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANARY", "a secret")

    async with RegorusEngine(deadline=PATIENT) as engine:
        environment = environment_of(child_of(engine))

    assert environment == b""


async def test_nothing_is_left_after_closing() -> None:
    engine = RegorusEngine(deadline=PATIENT)
    await engine.decide([policy(ALLOWS)], EXAMPLE)
    pid = child_of(engine)

    await engine.aclose()

    assert engine.pid is None
    assert_gone(pid)


async def test_a_closed_engine_denies_and_starts_nothing() -> None:
    engine = RegorusEngine(deadline=PATIENT)
    await engine.aclose()

    decision = await engine.decide([policy(ALLOWS)], EXAMPLE)

    assert decision.outcome is Outcome.DENY
    assert engine.pid is None


async def test_an_engine_that_can_not_start_denies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/there/is/no/python")

    decision = await RegorusEngine().decide([policy(ALLOWS)], EXAMPLE)

    assert decision.outcome is Outcome.DENY
    assert "did not start" in decision.reasons[0].reason


async def test_a_start_that_is_cancelled_leaves_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    spawned: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def never(process: Process) -> list[dict[str, object]]:
        spawned.set_result(process.pid)
        await asyncio.Event().wait()
        return []

    monkeypatch.setattr(regorus_engine, "_receive", never)
    deciding = asyncio.create_task(RegorusEngine().decide([policy(ALLOWS)], EXAMPLE))
    pid = await spawned

    deciding.cancel()
    with pytest.raises(asyncio.CancelledError):
        await deciding

    assert_gone(pid)
