"""`make demo`: a governed execution from beginning to end, on real parts, with no account and no key."""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from rich.console import Console

from control_plane.cli.dev import Steps, stop_on_termination
from control_plane.cli.failures import Failure, explained
from control_plane.cli.places import data_folder
from control_plane.cli.story import Story
from control_plane.embedded.bootstrap import ensure, ensure_tenant
from control_plane.embedded.stack import Stack
from control_plane.rest import Rest

ASSISTANT: dict[str, Any] = {
    "name": "DevOps Assistant",
    "description": "Helps with Kubernetes and CI/CD tasks",
    "agent_type": "agno",
    "llm_config": {"provider": "anthropic", "model": "claude-3-5-sonnet-20241022", "temperature": 0.7},
    "toolsets": ["kubernetes", "github", "slack"],
    "policies": ["require_approval_for_prod"],
}
REQUEST: dict[str, Any] = {
    "workflow_type": "agent_chat",
    "input": {
        "message": "Deploy the frontend app to staging",
        "context": {"environment": "staging", "requester": "user@example.com"},
    },
}

OPERATOR = ASSISTANT | {
    "name": "Careful Operator",
    "description": "Looks after what is deployed, and may delete nothing",
    "policies": ["require_approval_for_prod", "no_destructive_tools"],
}
TEMPTATION: dict[str, Any] = {
    "workflow_type": "agent_chat",
    "input": {
        "message": "List the deployments in staging, then delete the frontend app from staging, then list the"
        " deployments in staging"
    },
}
FORBIDDEN = "kubernetes_delete"

EXPLANATION = """
The agents ask for a Claude model. The environment answers with the built-in scripted/assistant, which is no language
model: it picks tools by fixed rules and needs no key. The worker only rehearses kubernetes, github and slack: those of
examples/toolset_rehearsal stand in for the real ones and touch nothing.
"""


def main() -> None:
    """Run the demo; exit 1 with a message if any step fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--data",
        type=Path,
        default=os.environ.get("CONTROL_PLANE_DATA"),
        help="folder that holds everything the stack keeps; default: CONTROL_PLANE_DATA, or the user's data folder",
    )
    console = Console(highlight=False, soft_wrap=True)
    stop_on_termination()
    try:
        _demonstrate(console, parser.parse_args().data)
    except KeyboardInterrupt:
        console.print("[red]Interrupted.[/] Everything that was started is stopped.")
        sys.exit(130)
    except Exception as error:
        message = explained(error)
        if message is None:
            raise
        console.print(f"[red]The demo failed.[/] {message}", markup=True)
        sys.exit(1)


def _demonstrate(console: Console, data: Path | None) -> None:
    console.rule("1. The whole control plane, on this machine", align="left")
    with Stack(data_folder(data), Steps(console)) as stack:
        tenant = ensure_tenant(stack)
        with Rest(stack.api_url, tenant.api_key) as rest:
            with stack.timed("two agents: DevOps Assistant, Careful Operator"):
                environment = {"environment_id": tenant.environment["id"]}
                assistant = ensure(rest, "/agents", ASSISTANT | environment, by=("environment_id", "name"))
                operator = ensure(rest, "/agents", OPERATOR | environment, by=("environment_id", "name"))
            stack.start_worker(tenant.environment["work_pool"], tenant.worker_key, rehearse=ASSISTANT["toolsets"])
            console.print(EXPLANATION)
            console.print()
            console.rule("2. An agent is asked to deploy to staging, which its policy allows", align="left")
            first = _execute(console, stack, rest, assistant, request=REQUEST)
            console.print()
            console.rule("3. An agent is asked to delete something, which its policy forbids", align="left")
            second = _execute(console, stack, rest, operator, request=TEMPTATION)
            _check_denied(rest, second)
        console.print()
        console.rule("4. The runs in the Prefect UI", align="left")
        for execution in (first, second):
            console.print(f"  {execution['flow_run_url']}")
        console.print("\nStopping everything that was started…")
    console.print(
        f"Done. The data is kept in {stack.data.path}: `control-plane dev` on that folder brings it all back,"
        " the runs in the Prefect UI included."
    )


def _execute(
    console: Console, stack: Stack, rest: Rest, agent: dict[str, Any], *, request: dict[str, Any]
) -> dict[str, Any]:
    console.print(f'  {agent["name"]}: "{request["input"]["message"]}"')
    execution = rest.post("/executions", request | {"agent_id": agent["id"]})
    story = Story(console)
    for event in stack.watched(rest.follow(execution["id"])):
        story.tell(event)
    finished: dict[str, Any] = rest.get(f"/executions/{execution['id']}")
    if finished["status"] != "completed":
        raise Failure(f"The execution ended as {finished['status']}: {finished['error']}")
    return finished


def _check_denied(rest: Rest, execution: dict[str, Any]) -> None:
    """A demo that shows a denial must not pass without one."""
    told = [event["data"].get("data", {}) for event in rest.get(f"/executions/{execution['id']}/events", limit="500")]
    outcomes = {data["outcome"] for data in told if data.get("tool_name") == FORBIDDEN and "outcome" in data}
    outputs = [data["tool_output"] for data in told if "tool_output" in data]
    if outcomes != {"deny"} or outputs[0] != outputs[-1]:
        raise Failure(
            f"{FORBIDDEN} should have been denied and have changed nothing, but was {outcomes or 'not tried'}."
        )


if __name__ == "__main__":
    main()
