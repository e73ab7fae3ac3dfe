"""`control-plane toolset list`, `test` and `schema`: what is installed, and whether it keeps the contract."""

import json
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape

from control_plane.cli.failures import Failure
from toolsets import Toolset
from toolsets.arguments import schema_of
from toolsets.registry import Registry, ToolsetNotFound
from toolsets.testing import problems

_WIDTH = 16


def show_all() -> None:
    """Print a line for each installed toolset, broken ones with the reason."""
    registry = Registry()
    console = Console(highlight=False, soft_wrap=True)
    for name in registry.names:
        brought = escape(f"{name:<{_WIDTH}}{registry.sources.get(name, '')}")
        if toolset := registry.toolsets.get(name):
            told = ", ".join(f"{tool.name} ({tool.effect})" for tool in toolset.tools.values())
            console.print(f"[green]✓[/] {brought}  {escape(told or 'tools that depend on its settings')}")
        if reason := registry.broken.get(name):
            console.print(f"[red]✗[/] {brought}  {escape(reason)}")


def check(name: str, *, settings: Path | None) -> None:
    """Print what is wrong with a toolset, and exit with 1 if something is."""
    toolset = _installed(name)
    console = Console(highlight=False, soft_wrap=True)
    wrong = problems(toolset, settings=_read(settings) if settings else {})
    for problem in wrong:
        console.print(f"[red]✗[/] {escape(problem)}")
    if wrong:
        console.print(f"{name} breaks the contract of toolsets in {len(wrong)} places.")
        raise typer.Exit(1)
    console.print(f"[green]✓[/] {name} keeps the contract of toolsets: {len(toolset.tools)} tools.")


def show_schemas(name: str) -> None:
    """Print all schemas of a toolset as one JSON object."""
    toolset = _installed(name)
    tools = {
        tool.name: {"description": tool.description, "effect": tool.effect, "parameters": tool.parameters}
        for tool in toolset.tools.values()
    }
    shown = {"toolset": name, "settings": schema_of(toolset.settings), "tools": tools}
    typer.echo(json.dumps(shown, indent=2, ensure_ascii=False))


def _installed(name: str) -> Toolset:
    try:
        return Registry().get(name)
    except ToolsetNotFound as error:
        raise Failure(str(error)) from error


def _read(path: Path) -> dict[str, Any]:
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise Failure(f"{path} is no JSON: {error}") from error
    if not isinstance(settings, dict):
        raise Failure(f"{path} must hold a JSON object, one entry for each setting.")
    return settings
