import os
import queue
import threading
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from control_plane.client import ControlPlaneError, JoiningClient, Refused, Unreachable
from control_plane.wire.joining import (
    HeartbeatAnswer,
    JoinedQueue,
    SessionRenewal,
    WorkerHeartbeat,
    WorkerSession,
    WorkerSettings,
)
from workpools.membership import Facts, Membership

pytestmark = pytest.mark.unit


class Scripted(JoiningClient):
    """A control plane that answers as it is told, one answer after the other, and then says no for good."""

    def __init__(self, *answers: str | ControlPlaneError) -> None:
        super().__init__("http://127.0.0.1:1", "cp_worker_x")
        self.answers = list(answers)
        self.asked: queue.SimpleQueue[str] = queue.SimpleQueue()

    def _answer(self, name: str) -> None:
        self.asked.put(name)
        answer = self.answers.pop(0) if self.answers else refused(409)
        if isinstance(answer, ControlPlaneError):
            raise answer
        assert answer == name

    def renew(self, session_id: UUID) -> SessionRenewal:  # noqa: ARG002 - as the client has it
        self._answer("renewal")
        return SessionRenewal(expires_at=datetime.now(UTC), renew_after_seconds=3600)

    def heartbeat(self, session_token: str, heartbeat: WorkerHeartbeat) -> HeartbeatAnswer:  # noqa: ARG002
        self._answer("heartbeat")
        return HeartbeatAnswer(drain=False, heartbeat_seconds=0.01)

    def leave(self, session_token: str) -> None:  # noqa: ARG002
        self.asked.put("leaving")


def refused(status: int) -> Refused:
    return Refused(status=status, code="code", detail="No.")


def session(*, renew_after_seconds: float = 3600) -> WorkerSession:
    return WorkerSession(
        session_id=uuid4(),
        session_token="cps_token",
        expires_at=datetime.now(UTC) + timedelta(hours=1),
        renew_after_seconds=renew_after_seconds,
        organization_id=uuid4(),
        environment_id=uuid4(),
        work_pool="env-acme-staging",
        worker_queue=JoinedQueue(id=uuid4(), name="default"),
        prefect_api_url="http://127.0.0.1:7777/api/v1/prefect/api",
        llm_url="http://127.0.0.1:7777/api/v1/llm",
        server_version="0.1.0",
        settings=WorkerSettings(heartbeat_seconds=0.01),
    )


def lived(client: Scripted, **changes: float) -> list[str]:
    """What a membership asks until the control plane says no."""
    membership, ended = Membership(client, session(**changes)), threading.Event()
    membership.on_end = ended.set
    membership.start()
    assert ended.wait(20)
    return [client.asked.get_nowait() for _ in range(client.asked.qsize())]


def test_signs_of_life_are_given_until_the_control_plane_says_no() -> None:
    assert lived(Scripted("heartbeat", "heartbeat")) == ["heartbeat"] * 3


def test_a_session_is_renewed_when_it_is_time() -> None:
    asked = lived(Scripted("renewal", "heartbeat"), renew_after_seconds=0)

    assert asked == ["renewal", "heartbeat", "heartbeat"]


def test_a_session_that_ended_while_the_machine_slept_is_renewed() -> None:
    asked = lived(Scripted("heartbeat", refused(401), "renewal", "heartbeat"))

    assert asked == ["heartbeat", "heartbeat", "renewal", "heartbeat", "heartbeat"]


def test_a_worker_whose_key_is_revoked_ends() -> None:
    assert lived(Scripted(refused(401), refused(401))) == ["heartbeat", "renewal"]


@pytest.mark.parametrize("trouble", [Unreachable("Away."), refused(500)])
def test_trouble_of_the_control_plane_ends_no_worker(trouble: ControlPlaneError) -> None:
    assert lived(Scripted("heartbeat", trouble, "heartbeat")) == ["heartbeat"] * 4


def test_leaving_is_told_once() -> None:
    client = Scripted()
    membership = Membership(client, session())

    membership.leave()
    membership.leave()

    assert [client.asked.get_nowait() for _ in range(client.asked.qsize())] == ["leaving"]


def test_a_forked_child_does_not_leave_for_its_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Scripted()
    membership = Membership(client, session())
    monkeypatch.setattr(os, "getpid", lambda: 1)

    membership.leave()

    assert client.asked.empty()


def test_the_token_does_not_show_when_a_session_is_printed() -> None:
    assert "cps_token" not in repr(session())


def test_a_process_measures_itself() -> None:
    facts = Facts()
    facts()

    measured = facts()

    assert measured.cpu_percent is not None
    assert measured.memory_bytes is None or measured.memory_bytes > 1_000_000
