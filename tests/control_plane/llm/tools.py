"""Tools as agents offer them to a model, declared as plugin authors declare them. None of them does anything."""

from collections.abc import Sequence
from typing import Any, Literal

from control_plane.llm.conversation import Conversation, Function
from toolsets import ToolContext, Toolset

App = Literal["frontend", "backend"]
Environment = Literal["staging", "production"]

kubernetes = Toolset("kubernetes")
github = Toolset("github")
slack = Toolset("slack")
files = Toolset("files")


@kubernetes.tool(effect="read")
def list_deployments(context: ToolContext, environment: Environment) -> None:
    """List the deployments of an environment."""


@kubernetes.tool(effect="write")
def deploy(context: ToolContext, app: App, environment: Environment) -> None:
    """Deploy an app to an environment."""


@kubernetes.tool(effect="destroy")
def delete(context: ToolContext, app: App, environment: Environment) -> None:
    """Delete an app from an environment."""


@kubernetes.tool(effect="write")
def scale(context: ToolContext, app: App, replicas: int, *, wait: bool | None = None) -> None:
    """Scale an app to a number of replicas."""


@github.tool(effect="read")
def list_issues(
    context: ToolContext, repository: str, state: Literal["open", "closed", "in_progress"] | None = None
) -> None:
    """List the issues of a repository."""


@github.tool(effect="write")
def create_issue(context: ToolContext, title: str, body: str = "", labels: list[str] | None = None) -> None:
    """Create an issue."""


@github.tool(effect="write")
def promote(context: ToolContext, source: Environment, target: Environment) -> None:
    """Promote a release from one environment to another."""


@slack.tool(effect="write")
def send_message(context: ToolContext, channel: str, text: str) -> None:
    """Send a message to a channel."""


@files.tool(effect="read")
def read(context: ToolContext, path: str) -> None:
    """Read a text file."""


@files.tool(effect="write")
def write(context: ToolContext, path: str, content: str) -> None:
    """Write a text file with this content."""


@files.tool(effect="write")
def move(context: ToolContext, file: str, folder: str) -> None:
    """Move a file into a folder."""


@files.tool(effect="read")
def list_files(context: ToolContext, path: str = ".") -> None:
    """List the files in a folder."""


TOOLS: list[dict[str, Any]] = [
    {
        "type": "function",
        "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters},
    }
    for toolset in (kubernetes, github, slack, files)
    for tool in toolset.tools.values()
]
"""All of them in OpenAI's format."""


def function(name: str) -> Function:
    """The tool as the scripted models read it."""
    return next(Function.model_validate(tool["function"]) for tool in TOOLS if tool["function"]["name"] == name)


def conversation(
    request: str, *, calls: int = 0, results: Sequence[tuple[str, str]] = (), tools: Sequence[Any] = TOOLS
) -> Conversation:
    """A conversation in which the model has made some calls already, one a turn."""
    offered = Conversation.of([{"role": "user", "content": request}], tools).functions
    return Conversation(request=request, functions=offered, turns=calls, calls=calls, results=tuple(results))
