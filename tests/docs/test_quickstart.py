"""docs/quickstart.md is carried out from beginning to end, by curl and by Python, and prints what the page shows.

The API and the policy engine are real, and so is the flow with its runtime and the toolsets. Only Prefect isn't there:
the worker here takes what the dispatcher hands out and runs the flow.
"""

import asyncio
import os
import re
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import pytest

from deployments.orchestrator import RunRequest
from flows.agent_execution import execute_agent
from tests.docs.pages import text
from tests.flows.prefect_api import PrefectApi, prefect_api
from tests.orchestrator import FakeOrchestrator
from tests.tenants import JOINING, Tenant, client, create_tenant, created

pytestmark = pytest.mark.integration

PAGE = text("docs/quickstart.md")
RUNS = {"bash": ("bash", "-eu", "-o", "pipefail", "-s"), "python": (sys.executable, "-")}
SAYS = {"bash": "echo {}", "python": "print({!r}, flush=True)"}
HERE = [language for language, program in {"bash": "curl", "python": sys.executable}.items() if shutil.which(program)]
"""Ways of the page that this machine can go: curl is no part of what `make test` needs."""
MARK = "=== step {} ==="


@dataclass(frozen=True, slots=True)
class Step:
    """A section of the page: what to type, and what it prints."""

    title: str
    blocks: dict[str, str]

    def printed(self, output: str) -> bool:
        """Whether `output` is as the page shows it; `…` there stands for anything within a line."""
        shown = self.blocks.get("text", "")
        return bool(re.fullmatch("[^\n]*".join(re.escape(part) for part in shown.split("…")), output))


STEPS = [
    Step(title, dict(re.findall(r"^```(bash|python|text)\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)))
    for title, section in re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
]


class HandedOut(FakeOrchestrator):
    """The orchestrator's port; what it is asked to start waits for the worker of this test."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: asyncio.Queue[UUID] = asyncio.Queue()

    async def start(self, request: RunRequest) -> UUID:
        run_id = await super().start(request)
        self.waiting.put_nowait(request.execution_id)
        return run_id


@pytest.fixture
def orchestrator() -> HandedOut:
    return HandedOut()


@pytest.fixture
async def demo(api_url: str) -> AsyncIterator[Tenant]:
    """The organization of `control-plane dev`."""
    async with create_tenant(api_url, "demo") as tenant:
        yield tenant


@pytest.fixture
async def prefect(tmp_path: Path) -> AsyncIterator[PrefectApi]:
    """What tool calls are reported to."""
    async with prefect_api(tmp_path / "prefect") as api:
        yield api


@pytest.fixture
async def _worker(
    demo: Tenant, api_url: str, orchestrator: HandedOut, prefect: PrefectApi, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[None]:
    """Somebody who carries out executions of every environment, one after the other."""

    async def work() -> None:
        while True:
            execution_id = await orchestrator.waiting.get()
            execution = (await demo.client.get(f"/executions/{execution_id}")).json()
            path = f"/environments/{execution['environment_id']}"
            work_pool = (await demo.client.get(path)).json()["work_pool"]
            issued = await created(demo.client, f"{path}/worker-keys", {"name": str(execution_id)})
            async with client(api_url, issued["key"]) as joining:
                session = await created(joining, f"/work-pools/{work_pool}/start", JOINING)
            monkeypatch.setenv("CONTROL_PLANE_URL", api_url)
            monkeypatch.setenv("CONTROL_PLANE_API_KEY", session["session_token"])
            monkeypatch.setenv("CONTROL_PLANE_WORKER_REHEARSE", "kubernetes,github,slack")
            async with prefect.used():
                await execute_agent.fn(str(execution_id))

    working = asyncio.create_task(work())
    yield
    working.cancel()
    with suppress(asyncio.CancelledError):
        await working


async def typed(language: str, api_url: str, key: str) -> list[str]:
    """What the blocks of one language print, one after the other in one terminal; an output for each step."""
    lines = [
        line
        for number, step in enumerate(STEPS)
        for line in (step.blocks.get(language, ""), SAYS[language].format(MARK.format(number)))
    ]
    terminal = await asyncio.create_subprocess_exec(
        *RUNS[language],
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": os.environ["PATH"], "CONTROL_PLANE_URL": api_url, "CONTROL_PLANE_API_KEY": key},
    )
    output, errors = await terminal.communicate("\n".join(lines).encode())
    assert terminal.returncode == 0, f"{output.decode()}\n{errors.decode()}"
    return re.split(r"=== step \d+ ===\n", output.decode())[:-1]


@pytest.mark.usefixtures("_worker")
@pytest.mark.parametrize("language", HERE)
async def test_whoever_types_what_the_page_says_sees_what_it_shows(language: str, demo: Tenant, api_url: str) -> None:
    outputs = await typed(language, api_url, demo.api_key)

    printed = {step.title: output for step, output in zip(STEPS, outputs, strict=True)}
    assert {step.title: printed[step.title] for step in STEPS if not step.printed(printed[step.title])} == {}


def test_each_step_is_there_for_both() -> None:
    both = {title for title, _ in re.findall(r"^## (\d+\. .+?)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)}

    assert {step.title for step in STEPS if {"bash", "python"} <= set(step.blocks)} == both
    assert len(both) == 11


def test_python_is_always_among_the_ways_that_are_gone() -> None:
    assert "python" in HERE


def test_an_output_that_differs_is_noticed() -> None:
    step = Step("", {"text": "a … c\n2\n"})

    assert step.printed("a b c\n2\n")
    assert not step.printed("a b c\n3\n")
    assert not step.printed("a b\nb c\n2\n")
