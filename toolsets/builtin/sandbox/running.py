"""Carrying out one program and keeping what it prints within bounds."""

import asyncio
import contextlib
import errno
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from toolsets.builtin.sandbox.preparing import Prepared, prepare
from toolsets.builtin.sandbox.settings import SandboxSettings
from toolsets.failures import ToolFailed

MAX_OUTPUT_BYTES = 200_000
"""Of each stream. What is in the middle of more is left out."""

_LAST_SECONDS = 5
"""How long the launcher gets to end everything; then its parent's signal does."""


@dataclass(frozen=True, slots=True)
class Finished:
    """How a program ended. The code is 128 + the signal that ended it, as in a shell.

    `is_cut`: the middle of what it printed was too much and is left out.
    """

    exit_code: int
    stdout: str
    stderr: str
    is_cut: bool = False


async def run(
    program: Sequence[str],
    *,
    folder: Path,
    settings: SandboxSettings,
    timeout: float,  # noqa: ASYNC109 - its end is told to the model
    inner: str = "",
    stdin: bytes = b"",
    environment: Mapping[str, str] | None = None,
    network: bool | None = None,
    readable: Sequence[Path] = (),
    hidden: Sequence[Path] = (),
    max_output: int = MAX_OUTPUT_BYTES,
) -> Finished:
    """Run `program` to its end, and everything that it has started with it.

    Besides `timeout` (seconds), `stdin` and `max_output` (bytes of each stream), parameters are those of `prepare`.
    Raises `ToolFailed` with what it had printed when it took too long, and what `prepare` raises.
    """
    prepared = await asyncio.to_thread(
        prepare,
        program,
        folder=folder,
        settings=settings,
        inner=inner,
        environment=environment,
        network=network,
        readable=readable,
        hidden=hidden,
    )
    transport, running = await _started(prepared, max_output)
    try:
        async with asyncio.timeout(timeout) as limit:
            running.give(transport, stdin)
            await running.exited.wait()
            # Without a sandbox something may live on that holds the streams open.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(running.silent.wait(), 1)
    except TimeoutError:
        if not limit.expired():
            raise
        raise ToolFailed(
            f"It was ended, because it took longer than {timeout:g} s. What it had done remains."
            + (f" It had printed:\n{running.said()}" if running.said() else "")
        ) from None
    finally:
        await asyncio.shield(_ended(transport, running))
    stdout, stderr = running.kept[1], running.kept[2]
    is_cut = bool(stdout.left_out or stderr.left_out)
    return Finished(transport.get_returncode() or 0, stdout.text(), stderr.text(), is_cut)


async def _started(prepared: Prepared, most: int) -> tuple[asyncio.SubprocessTransport, "_Program"]:
    try:
        return await asyncio.get_running_loop().subprocess_exec(
            lambda: _Program(most), *prepared.argv, env=prepared.environment, start_new_session=True
        )
    except OSError as error:
        if error.errno == errno.E2BIG:
            raise ToolFailed("The command is too long. Put the text into a file.") from error
        raise


async def _ended(transport: asyncio.SubprocessTransport, program: "_Program") -> None:
    for end in (transport.terminate, transport.kill):
        if program.exited.is_set():
            break
        with contextlib.suppress(ProcessLookupError):
            end()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(program.exited.wait(), _LAST_SECONDS)
    transport.close()


class _Program(asyncio.SubprocessProtocol):
    """Hears what a program prints. Not through streams of asyncio, which copy everything twice more."""

    def __init__(self, most: int) -> None:
        self.kept = {1: _Kept(most), 2: _Kept(most)}
        self.exited = asyncio.Event()
        self.silent = asyncio.Event()
        self._open = {1, 2}

    def give(self, transport: asyncio.SubprocessTransport, stdin: bytes) -> None:
        """Write all of its standard input, and end that."""
        stream = transport.get_pipe_transport(0)
        if isinstance(stream, asyncio.WriteTransport):
            stream.write(stdin)
            stream.write_eof()

    def said(self) -> str:
        return "\n".join(text for text in (self.kept[1].text(), self.kept[2].text()) if text)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self.kept[fd].add(data)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._open.discard(fd)
        if not self._open:
            self.silent.set()

    def process_exited(self) -> None:
        self.exited.set()


@dataclass(slots=True)
class _Kept:
    """The beginning and the end of a stream."""

    most: int
    head: bytearray = field(default_factory=bytearray)
    tail: bytearray = field(default_factory=bytearray)
    left_out: int = 0

    def add(self, part: bytes) -> None:
        room = self.most // 2 - len(self.head)
        if room > 0:
            self.head += part[:room]
            part = part[room:]
        room = self.most - self.most // 2
        if len(part) > room:
            self.left_out += len(self.tail) + len(part) - room
            self.tail[:] = part[-room:]
            return
        self.tail += part
        over = len(self.tail) - room
        if over > 0:
            del self.tail[:over]
            self.left_out += over

    def text(self) -> str:
        head, tail = self.head.decode(errors="replace"), self.tail.decode(errors="replace")
        note = f"\n… ({self.left_out} bytes left out) …\n" if self.left_out else ""
        return head + note + tail
