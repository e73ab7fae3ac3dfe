"""Issues of the make-believe platform."""

from toolset_rehearsal.platform import opened
from toolsets import ToolContext, Toolset, hookimpl
from toolsets.builtin.github.settings import GithubSettings

github = Toolset("github", description="Rehearsal: issues of a make-believe repository.", settings=GithubSettings)

Context = ToolContext[GithubSettings]


@github.tool(effect="read")
def list_issues(context: Context) -> list[dict[str, object]]:
    """List the issues."""
    with opened(context) as platform:
        issues: list[dict[str, object]] = platform["issues"]
        return issues


@github.tool(effect="write")
def open_issue(context: Context, title: str) -> dict[str, object]:
    """Open an issue."""
    context.settings.check_writable()
    with opened(context) as platform:
        issue: dict[str, object] = {"number": len(platform["issues"]) + 1, "title": title}
        platform["issues"].append(issue)
        return issue


@hookimpl
def register_toolset() -> Toolset:
    """The toolset `github`."""
    return github
