"""Children that a test hands something to do, and credentials that none of them may see."""

import asyncio
import json
import os
import select
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from control_plane.wire.executions import Claim
from workpools.assignment import Assignment
from workpools.children import Child, Children

ROOT = Path(__file__).parents[2]
CANARIES = {
    "CONTROL_PLANE_API_KEY": "canary-worker-key",
    "PREFECT_API_KEY": "canary-session",
    "PREFECT_API_AUTH_STRING": "canary-password",
    "PREFECT_CLIENT_CUSTOM_HEADERS": '{"Authorization": "canary-header"}',
    "AWS_SECRET_ACCESS_KEY": "canary-cloud",
    "OPENAI_API_KEY": "canary-provider",
}


def assignment(what: UUID, **changes: Any) -> Assignment:
    """An assignment of the probe."""
    claim = Claim(
        execution_id=uuid4(),
        execution_token="cp_exec_of_the_test",
        fence=1,
        lease_expires_at=datetime.now(UTC),
        renew_every_seconds=5,
    )
    return Assignment(
        **{
            "claim": claim,
            "claimed_at": 0.0,
            "control_plane_url": "http://control-plane.test",
            "flow_run_id": what,
            "flow_id": uuid4(),
            "prefect_api_url": "http://prefect.test/api",
        }
        | changes
    )


class Workshop:
    """Two children that are ready, and what they print."""

    def __init__(self, children: Children, capsys: pytest.CaptureFixture[str]) -> None:
        self.children = children
        self._capsys = capsys
        self._printed = ""

    async def child(self) -> Child:
        async with asyncio.timeout(60):
            return await self.children.take()

    async def carried_out(self, what: UUID, **changes: Any) -> Any:
        """What a child prints that carries this out, and how it ends."""
        child = await self.child()
        child.assign(assignment(what, **changes))
        async with asyncio.timeout(60):
            code = await child.ended
            await child.heard
        return code, self.printed_by(child)

    async def told(self, child: Child) -> Any:
        """The first thing that a child tells, as soon as it does."""
        async with asyncio.timeout(60):
            await child.spoken.wait()
        return self.printed_by(child)

    def printed_by(self, child: Child) -> Any:
        self._printed += self._capsys.readouterr().out
        prefix = f"{child.title} | "
        lines = [line.removeprefix(prefix) for line in self._printed.splitlines() if line.startswith(prefix)]
        return json.loads(lines[0]) if lines and lines[0][0] in '[{"0123456789' else lines


def is_gone(pid: int) -> bool:
    """Whether a process ends within twenty seconds, or has ended."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], 20)[0])
    finally:
        os.close(descriptor)


def worker_environment(**more: str) -> dict[str, str]:
    """The environment of a worker that has joined, with a canary in each credential."""
    return dict(os.environ) | CANARIES | {"PYTHONPATH": str(ROOT)} | more
