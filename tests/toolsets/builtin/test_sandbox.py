"""Programs are run, bounded and ended, with a sandbox and without."""

import asyncio
import json
import os
import resource
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from tests.toolsets.builtin.lifeline import HOLD, lifeline
from tests.toolsets.builtin.places import in_each_place
from toolsets import ToolFailed
from toolsets.builtin import sandbox
from toolsets.builtin.sandbox import Finished, SandboxSettings, SandboxUnavailable, bubblewrap, run

pytestmark = pytest.mark.integration


WORKER = """
import json, os, subprocess, sys
argv, environment = json.loads(sys.argv[1]), json.loads(sys.argv[2])
argv[-1] = json.dumps(json.loads(argv[-1]) | {"parent": os.getpid()})
subprocess.run(argv, env=environment)
"""


@pytest.fixture
def without_bubblewrap(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(bubblewrap, "_programs", lambda: iter(()))
    bubblewrap._found.cache_clear()
    yield
    bubblewrap._found.cache_clear()


@pytest.fixture
def useless_bubblewrap(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """One that fails as where namespaces are forbidden."""
    program = tmp_path / "bwrap"
    program.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setattr(bubblewrap, "_programs", lambda: iter([str(program)]))
    bubblewrap._found.cache_clear()
    yield
    bubblewrap._found.cache_clear()


async def test_without_bubblewrap_nothing_runs(without_bubblewrap: None, tmp_path: Path) -> None:
    with pytest.raises(SandboxUnavailable, match=r"bubblewrap is not installed.*set `sandbox` to `off`"):
        await run(["touch", "made"], folder=tmp_path, settings=SandboxSettings(), timeout=10)

    assert not sandbox.available()
    assert os.listdir(tmp_path) == []  # noqa: PTH208 - a list is what is compared


async def test_a_bubblewrap_that_does_not_work_is_not_gone_round(useless_bubblewrap: None, tmp_path: Path) -> None:
    with pytest.raises(SandboxUnavailable, match="No permissions to create new namespace"):
        await run(["touch", "made"], folder=tmp_path, settings=SandboxSettings(), timeout=10)

    assert not (tmp_path / "made").exists()


async def test_programs_run_without_a_sandbox_where_it_is_off(without_bubblewrap: None, tmp_path: Path) -> None:
    done = await run(["pwd"], folder=tmp_path, settings=SandboxSettings(sandbox="off"), timeout=10)

    assert done == Finished(0, f"{tmp_path}\n", "")


def test_this_machine_has_a_sandbox_or_says_why() -> None:
    assert sandbox.available() != bool(sandbox.reason())


@pytest.mark.parametrize("promise", [{"network": False}, {"read_only": True}, {"readable": ["/opt"]}])
def test_what_only_a_sandbox_can_hold_is_refused_without_one(promise: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="without a sandbox nothing can hold"):
        SandboxSettings(sandbox="off", **promise)


@pytest.mark.parametrize("folder", ["relative", "/a/../b", ""])
def test_a_folder_in_the_settings_must_be_absolute(folder: str) -> None:
    with pytest.raises(ValidationError, match="absolute path"):
        SandboxSettings(readable=[folder])


@in_each_place
async def test_a_program_reads_prints_and_ends(place: Any, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()

    done = await run(
        ["sh", "-c", "cat; echo no >&2; touch made; exit 7"],
        folder=tmp_path,
        inner="folder",
        settings=SandboxSettings(sandbox=place),
        stdin=b"yes\n",
        timeout=10,
    )

    assert done == Finished(7, "yes\n", "no\n")
    assert (tmp_path / "folder/made").exists()


@in_each_place
async def test_a_signal_is_told_as_a_shell_does(place: Any, tmp_path: Path) -> None:
    done = await run(["sh", "-c", "kill -15 $$"], folder=tmp_path, settings=SandboxSettings(sandbox=place), timeout=10)

    assert done.exit_code == 128 + 15


@in_each_place
async def test_programs_have_a_clean_environment(place: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANARY", "a secret of the worker")
    settings = SandboxSettings(sandbox=place, environment={"LD_PRELOAD": "", "MINE": "yes"})

    done = await run(["env"], folder=tmp_path, settings=settings, timeout=10)

    names = {line.partition("=")[0] for line in done.stdout.splitlines()}
    assert names == {"PATH", "HOME", "LANG", "LD_PRELOAD", "MINE"} | (names & {"PWD"})
    assert "MINE=yes" in done.stdout


@in_each_place
async def test_programs_inherit_no_open_files(place: Any, tmp_path: Path) -> None:
    secret = (tmp_path / "secret").open("w")
    os.set_inheritable(secret.fileno(), True)  # noqa: FBT003 - it takes no keyword

    done = await run(["ls", "/proc/self/fd"], folder=tmp_path, settings=SandboxSettings(sandbox=place), timeout=10)

    # 3 is the folder that is being listed.
    assert done.stdout.split() == ["0", "1", "2", "3"]
    secret.close()


@in_each_place
async def test_a_program_that_takes_too_long_is_ended_with_all_that_it_started(place: Any, tmp_path: Path) -> None:
    async with lifeline(tmp_path) as line:
        with pytest.raises(ToolFailed, match=r"longer than 1 s(.|\n)*begun"):
            await run(
                ["sh", "-c", f"echo begun; {HOLD}"],
                folder=tmp_path,
                settings=SandboxSettings(sandbox=place),
                timeout=1,
            )

        await line.begun()
        await line.ended()


@in_each_place
async def test_cancelling_ends_a_program(place: Any, tmp_path: Path) -> None:
    async with lifeline(tmp_path) as line:
        running = asyncio.create_task(
            run(["sh", "-c", HOLD], folder=tmp_path, settings=SandboxSettings(sandbox=place), timeout=60)
        )
        await line.begun()

        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

        await line.ended()


@in_each_place
async def test_a_program_ends_with_the_worker(place: Any, tmp_path: Path) -> None:
    prepared = sandbox.prepare(["sh", "-c", HOLD], folder=tmp_path, settings=SandboxSettings(sandbox=place))
    worker_code = tmp_path / "worker.py"
    worker_code.write_text(WORKER)
    async with lifeline(tmp_path) as line:
        worker = await asyncio.create_subprocess_exec(
            sys.executable, worker_code, json.dumps(prepared.argv), json.dumps(prepared.environment)
        )
        await line.begun()

        worker.kill()
        await worker.wait()

        await line.ended()


@in_each_place
async def test_gigabytes_of_output_are_bounded_and_take_no_memory(place: Any, tmp_path: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    done = await run(
        ["sh", "-c", "echo first; head -c 1000000000 /dev/zero; echo last"],
        folder=tmp_path,
        settings=SandboxSettings(sandbox=place),
        timeout=60,
        max_output=1000,
    )

    assert done.stdout.startswith("first\n")
    assert done.stdout.endswith("last\n")
    assert "… (999999011 bytes left out) …" in done.stdout
    assert len(done.stdout) < 1100
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000


@in_each_place
async def test_a_process_gets_no_more_memory_than_it_may(place: Any, tmp_path: Path) -> None:
    settings = SandboxSettings(sandbox=place, memory="64MiB")

    # Without a line's end, tail has to keep all of it.
    done = await run(["sh", "-c", "head -c 200000000 /dev/zero | tail"], folder=tmp_path, settings=settings, timeout=10)

    assert done.exit_code != 0
    assert "memory" in done.stderr


@in_each_place
async def test_a_file_gets_no_larger_than_it_may(place: Any, tmp_path: Path) -> None:
    settings = SandboxSettings(sandbox=place, file_size="1MiB")

    done = await run(["head", "-c", "9000000", "/dev/zero"], folder=tmp_path, settings=settings, timeout=10)
    await run(["sh", "-c", "head -c 9000000 /dev/zero >large"], folder=tmp_path, settings=settings, timeout=10)

    assert done.exit_code == 0
    assert (tmp_path / "large").stat().st_size == 1 << 20


@in_each_place
async def test_a_process_computes_no_longer_than_it_may(place: Any, tmp_path: Path) -> None:
    settings = SandboxSettings(sandbox=place, cpu_seconds=1)

    done = await run(["sh", "-c", "while :; do :; done"], folder=tmp_path, settings=settings, timeout=60)

    assert done.exit_code > 128


@in_each_place
async def test_a_program_that_does_not_exist_is_told(place: Any, tmp_path: Path) -> None:
    done = await run(["nothing-here"], folder=tmp_path, settings=SandboxSettings(sandbox=place), timeout=10)

    assert done.exit_code != 0
    assert "No such file" in done.stderr


@pytest.mark.parametrize("inner", ["..", "a/../..", "/etc", "a\0b"])
async def test_a_folder_that_leads_out_is_refused(inner: str, tmp_path: Path) -> None:
    with pytest.raises(ToolFailed, match="leads out"):
        await run(["ls"], folder=tmp_path, inner=inner, settings=SandboxSettings(sandbox="off"), timeout=10)


async def test_a_command_that_is_too_long_is_explained(tmp_path: Path) -> None:
    with pytest.raises(ToolFailed, match="too long"):
        await run(["echo", "x" * 200_000], folder=tmp_path, settings=SandboxSettings(sandbox="off"), timeout=10)
