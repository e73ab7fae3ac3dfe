"""Programs, started without a shell and in a sandbox.

A command is a program and its arguments. Which programs may be started is decided by the file that would run, not by
what it is called. A program may start others; what it can reach with them is bounded by the sandbox alone, where
`denied_commands` are hidden from everything.
"""

import shlex
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from toolsets import ToolContext, ToolFailed, Toolset, hookimpl
from toolsets.builtin import sandbox
from toolsets.builtin.sandbox.preparing import PATH

_OPERATORS = frozenset("();<>|&")
_SHELL = "/bin/sh"


def _splittable(command: str) -> str:
    if not shlex.split(command):
        raise ValueError("must name a program")
    return command


Command = Annotated[str, AfterValidator(_splittable)]


class ShellSettings(sandbox.SandboxSettings):
    """Settings of the toolset `shell`."""

    allowed_commands: tuple[Command, ...] | None = None
    """Programs that may be started, each with the first arguments it must have: `ls`, `git log`, `/opt/tool`.
    Null: any."""

    denied_commands: tuple[Command, ...] = ()
    """Programs that nothing in the sandbox can run or read."""

    allow_shell: bool = False
    """Whether a command line is interpreted by `/bin/sh`, with pipes, redirections and variables."""

    timeout_seconds: float = Field(default=120, gt=0, le=3600)
    """How long a command may take."""

    @model_validator(mode="after")
    def _no_list_that_is_not_kept(self) -> Self:
        if self.allow_shell and self.allowed_commands is not None:
            raise ValueError("a shell can start any program: leave out allow_shell or allowed_commands")
        if self.denied_commands and self.sandbox == "off":
            raise ValueError("denied_commands are hidden by the sandbox, and it is off: use allowed_commands")
        return self


shell = Toolset("shell", description="Programs of the worker's machine, in a sandbox.", settings=ShellSettings)


@shell.tool(effect="write")
async def run(
    context: ToolContext[ShellSettings],
    command: str | list[str],
    folder: str = ".",
    stdin: str = "",
    timeout_seconds: float | None = None,
) -> dict[str, object]:
    """Run a program and return its exit code and what it printed.

    `command` is a list of the program and its arguments, or a line that is split at spaces, with quotes as in a shell.
    A line is not interpreted any further unless a shell is allowed: no pipes, redirections, variables or wildcards.
    `folder` is the folder of the workspace to run it in. Files elsewhere can't be changed. Nobody can answer a
    question of the program: give it what it asks for in `stdin`, or options that keep it from asking.
    """
    settings = context.settings
    argv = _argv(command, settings)
    most = settings.timeout_seconds
    done = await sandbox.run(
        argv,
        folder=context.workspace,
        settings=settings,
        inner=folder,
        stdin=stdin.encode(),
        timeout=min(timeout_seconds, most) if timeout_seconds and timeout_seconds > 0 else most,
        hidden=[*_files(settings.denied_commands, settings)],
    )
    return {"exit_code": done.exit_code, "stdout": done.stdout, "stderr": done.stderr}


def _argv(command: str | list[str], settings: ShellSettings) -> list[str]:
    if isinstance(command, str) and settings.allow_shell:
        return [_SHELL, "-c", command]
    argv = _split(command) if isinstance(command, str) else command
    if not argv or not argv[0]:
        raise ToolFailed("The command is empty. Name a program.")
    if any("\0" in argument for argument in argv):
        raise ToolFailed("The command holds a null character, which no program can be given.")
    found = _found(argv[0], settings)
    if found is None and "/" not in argv[0]:
        raise ToolFailed(f"There is no program {argv[0]!r} here.")
    if settings.allowed_commands is not None and not any(
        _fits(argv, found, shlex.split(allowed), settings) for allowed in settings.allowed_commands
    ):
        allowed = ", ".join(settings.allowed_commands) or "none"
        raise ToolFailed(f"{shlex.join(argv[:2])} may not be run here. Allowed are: {allowed}.")
    if found in {*_files(settings.denied_commands, settings)}:
        raise ToolFailed(f"{argv[0]} may not be run here.")
    return [str(found or argv[0]), *argv[1:]]


def _split(line: str) -> list[str]:
    try:
        words = shlex.split(line)
        marked = [*shlex.shlex(line, posix=False, punctuation_chars=True)]
    except ValueError as error:
        raise ToolFailed(f"The command can't be split into words: {error}. Give it as a list.") from error
    if any(set(word) <= _OPERATORS for word in marked) or "`" in line:
        raise ToolFailed(
            "There is no shell here, so pipes, redirections, `;`, `&&` and `$( )` are not understood. Run one program"
            " at a time, or give the command as a list if these characters are meant as they are."
        )
    return words


def _found(program: str, settings: ShellSettings) -> Path | None:
    """The file that would run, if it isn't one of the workspace.

    Its folder is without links, its own name as it is: programs that are one file under many names act by their name.
    """
    if "/" in program and not program.startswith("/"):
        return None
    found = shutil.which(program, path=settings.environment.get("PATH", PATH))
    return Path(found).parent.resolve() / Path(found).name if found else None


def _fits(argv: Sequence[str], found: Path | None, allowed: Sequence[str], settings: ShellSettings) -> bool:
    return found is not None and found == _found(allowed[0], settings) and [*argv[1 : len(allowed)]] == [*allowed[1:]]


def _files(commands: Iterable[str], settings: ShellSettings) -> Iterable[Path]:
    """The files of these programs: under the name that was given, and where that leads."""
    for command in commands:
        found = _found(shlex.split(command)[0], settings)
        if found is not None:
            yield from {found, found.resolve()}


@hookimpl
def register_toolset() -> Toolset:
    """The toolset `shell`."""
    return shell
