"""A machine on which people manage workers, with a stand-in for the program that a worker is."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from control_plane.cli.background_worker import BackgroundWorker
from control_plane.embedded.programs import program

STAND_IN = Path(__file__).with_name("stand_in.py")
KEY = "cp_worker_of_the_tests_0123456789"


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended."""

    code: int | None
    output: str
    errors: str


@dataclass(frozen=True, slots=True)
class Machine:
    """`folder` holds the data folder and an environment whose `control-plane-worker` is the stand-in."""

    folder: Path

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def venv(self) -> Path:
        return self.folder / "venv"

    def worker(self, name: str = "one") -> BackgroundWorker:
        """A worker of this machine, started or not."""
        return BackgroundWorker(self.data / "workers" / name)

    async def run(self, *arguments: str, **variables: str) -> Done:
        """`control-plane worker …` in a process of its own."""
        process = await self._started(arguments, variables)
        async with asyncio.timeout(120):
            output, errors = await process.communicate()
        return Done(process.returncode, output.decode(), errors.decode())

    async def hears(self, text: str, **variables: str) -> str:
        """The first line of the only worker's log that holds the text, once it is there."""
        process = await self._started(("logs", "--follow", "-n", "10000"), variables)
        try:
            async with asyncio.timeout(90):
                while line := (await process.stdout.readline()).decode() if process.stdout else "":
                    if text in line:
                        return line
            raise AssertionError(f"the worker ended without a word of {text!r}")
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.communicate()

    async def start(self, behaviour: str = "obliging", *, name: str = "one") -> Done:
        """Start the stand-in."""
        arguments = ("start", "--pool", "env-acme-staging", "--name", name, "--venv", str(self.venv))
        return await self.run(*arguments, STAND_IN=behaviour)

    async def runs(self, behaviour: str = "obliging", *, name: str = "one") -> int:
        """Start the stand-in; its process."""
        done = await self.start(behaviour, name=name)
        process = self.worker(name).process()
        assert process, done.errors
        return process.pid

    def clean_up(self) -> None:
        """Kill what still runs."""
        for folder in (self.data / "workers").glob("*"):
            if process := BackgroundWorker(folder).process():
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)

    async def _started(self, arguments: tuple[str, ...], variables: dict[str, str]) -> Process:
        environment = {
            "PATH": os.environ["PATH"],
            "COLUMNS": "200",
            "CONTROL_PLANE_DATA": str(self.data),
            "CONTROL_PLANE_CONFIG": str(self.folder / "config"),
            "CONTROL_PLANE_URL": "http://127.0.0.1:9",
            "CONTROL_PLANE_API_KEY": KEY,
        }
        return await asyncio.create_subprocess_exec(
            program("control-plane"), "worker", *arguments, env=environment | variables, stdout=PIPE, stderr=PIPE
        )


def machine_in(folder: Path) -> Machine:
    """A machine without workers."""
    machine = Machine(folder)
    (machine.venv / "bin").mkdir(parents=True)
    script = machine.venv / "bin" / "control-plane-worker"
    script.write_text(f"#!{sys.executable}\n{STAND_IN.read_text()}")
    script.chmod(0o755)
    return machine
