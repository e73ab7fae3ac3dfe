"""`control-plane run`: start an execution and, if asked, follow it."""

from pathlib import Path
from typing import Any
from uuid import UUID

import typer

from control_plane.cli.failures import Failure
from control_plane.cli.places import control_plane
from control_plane.cli.story import Story
from control_plane.rest import Rest


def start(agent: str, message: str, *, context: list[str], follow: bool, data: Path | None) -> None:
    """Start an execution; exit 1 if it is followed and does not complete."""
    place = control_plane(data)
    with Rest(place.url, place.api_key) as rest:
        body = {"agent_id": _agent_id(rest, agent), "input": {"message": message, "context": _parsed(context)}}
        execution = rest.post("/executions", body)
        if not follow:
            typer.echo(execution["id"])
            return
        story = Story()
        try:
            for event in rest.follow(execution["id"]):
                story.tell(event)
        except KeyboardInterrupt:
            typer.echo(
                f"\nNo longer following; execution {execution['id']} goes on."
                f" Cancel it with DELETE {place.url}/api/v1/executions/{execution['id']}.",
                err=True,
            )
            raise typer.Exit(130) from None
        if url := rest.get(f"/executions/{execution['id']}")["flow_run_url"]:
            typer.echo(f"Flow run: {url}")
        if story.status != "completed":
            raise typer.Exit(1)


def _agent_id(rest: Rest, agent: str) -> str:
    try:
        return str(UUID(agent))
    except ValueError:
        found: list[dict[str, Any]] = rest.get("/agents", name=agent)
    if not found:
        known = ", ".join(sorted({one["name"] for one in rest.get("/agents")})) or "none"
        raise Failure(f"There is no agent {agent!r}. There are: {known}.")
    if len(found) > 1:
        ids = ", ".join(one["id"] for one in found)
        raise Failure(f"Several environments have an agent {agent!r}. Name one by its id: {ids}.")
    return str(found[0]["id"])


def _parsed(context: list[str]) -> dict[str, str]:
    pairs = [pair.partition("=") for pair in context]
    for name, equals, value in pairs:
        if not (name and equals):
            raise Failure(f"--context takes NAME=VALUE, such as environment=staging, not {name + equals + value!r}.")
    return {name: value for name, _, value in pairs}
