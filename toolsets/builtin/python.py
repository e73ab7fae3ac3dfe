"""Python scripts, in a sandbox. The interpreter is the worker's, without its packages unless they are wanted."""

import sys
from pathlib import Path

from pydantic import Field

from toolsets import ToolContext, ToolFailed, Toolset, hookimpl
from toolsets.builtin import sandbox

# Neither variables nor packages of a user; nothing is written beside the modules. The script's folder can be imported.
_OPTIONS = ("-E", "-s", "-B")


class PythonSettings(sandbox.SandboxSettings):
    """Settings of the toolset `python`."""

    packages: bool = False
    """Whether scripts may import what is installed for the worker."""

    timeout_seconds: float = Field(default=120, gt=0, le=3600)
    """How long a script may take."""


python = Toolset("python", description="Python scripts, in a sandbox.", settings=PythonSettings)


@python.tool(effect="write")
async def run(context: ToolContext[PythonSettings], code: str, arguments: list[str] | None = None) -> dict[str, object]:
    """Run Python code and return its exit code and what it printed.

    Print what you want to know: the value of the last line is not shown. The current folder is the workspace, whose
    files can be read, written and imported. `arguments` are in `sys.argv[1:]`. Nothing is kept in memory between calls.
    """
    return await _run(context, ["-", *(arguments or [])], stdin=code.encode())


@python.tool(effect="write")
async def run_file(
    context: ToolContext[PythonSettings], path: str, arguments: list[str] | None = None, stdin: str = ""
) -> dict[str, object]:
    """Run a Python file of the workspace and return its exit code and what it printed."""
    if path.startswith(("/", "-")) or not path.endswith(".py"):
        raise ToolFailed("Give the path of a file of the workspace that ends in .py, such as tools/report.py.")
    return await _run(context, [path, *(arguments or [])], stdin=stdin.encode())


async def _run(context: ToolContext[PythonSettings], arguments: list[str], *, stdin: bytes) -> dict[str, object]:
    settings = context.settings
    if any("\0" in argument for argument in arguments):
        raise ToolFailed("The arguments hold a null character, which no program can be given.")
    folders = sandbox.PYTHON_FOLDERS
    if settings.packages and Path(sys.prefix) != Path(sys.base_prefix):
        folders = (*folders, Path(sys.prefix))
    done = await sandbox.run(
        [_interpreter(packages=settings.packages), *_OPTIONS, *arguments],
        folder=context.workspace,
        settings=settings,
        stdin=stdin,
        timeout=settings.timeout_seconds,
        readable=folders,
    )
    return {"exit_code": done.exit_code, "stdout": done.stdout, "stderr": done.stderr}


def _interpreter(*, packages: bool) -> str:
    if packages:
        return sys.executable
    # The one from which a virtual environment was made. Private, but what `venv` itself goes by.
    plain = getattr(sys, "_base_executable", None) or sys.executable
    return str(Path(plain).resolve())


@hookimpl
def register_toolset() -> Toolset:
    """The toolset `python`."""
    return python
