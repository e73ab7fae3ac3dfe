"""Git repositories in the workspace: the program `git`, in a sandbox, with nothing of the machine's configuration."""

from typing import Annotated

from pydantic import Field

from toolsets import ToolFailed, Toolset, hookimpl
from toolsets.builtin.git import remotes
from toolsets.builtin.git.commands import STATUS, Context, branch_name, git, in_repository, revision, stage_changes
from toolsets.builtin.git.settings import GitSettings

Count = Annotated[int, Field(ge=1, le=1000)]

_PLAIN = ("--no-color", "--no-ext-diff", "--no-textconv")

repository = Toolset(
    "git",
    description="Git repositories in the workspace.",
    settings=GitSettings,
    secrets=lambda settings: (*settings.tokens.values(),),
    hosts=lambda settings: settings.allowed_hosts or (),
)


@repository.tool(effect="write")
async def clone(
    context: Context, url: str, folder: str, branch: str | None = None, depth: Count | None = None
) -> dict[str, object]:
    """Copy a repository from its https URL into a new folder of the workspace. `depth`: only its newest commits."""
    _inside(folder)
    return {"folder": folder, "status": await remotes.clone(context, url, folder, branch=branch, depth=depth)}


@repository.tool(effect="write")
async def fetch(context: Context, folder: str) -> dict[str, object]:
    """Get the newest commits of `origin` into its branches `origin/…`, without changing yours. Lists all branches."""
    _inside(folder)
    return {"branches": await remotes.fetch(context, folder)}


@repository.tool(effect="read")
async def status(context: Context, folder: str) -> str:
    """Tell which branch is checked out and which files have changed."""
    return await in_repository(context, *STATUS, folder=folder)


@repository.tool(effect="read")
async def log(context: Context, folder: str, start: str = "HEAD", path: str | None = None, count: Count = 20) -> str:
    """List commits, the newest first, from a branch or commit (`start`), or a range such as main..feature."""
    return await in_repository(
        context,
        *("log", "--no-color", f"--max-count={count}", "--date=iso-strict", "--format=%H %ad %an <%ae>%n    %s"),
        *("--end-of-options", revision(start), "--", *([path] if path else [])),
        folder=folder,
    )


@repository.tool(effect="read")
async def diff(
    context: Context,
    folder: str,
    start: str | None = None,
    path: str | None = None,
    staged: bool = False,  # noqa: FBT001, FBT002
) -> str:
    """Show what has changed in the files since the last commit, or since `start`, a commit or a range like a..b."""
    return await in_repository(
        context,
        *("diff", *_PLAIN, "--ignore-submodules=all", *(["--cached"] if staged else [])),
        *("--end-of-options", revision(start or "HEAD"), "--", *([path] if path else [])),
        folder=folder,
    )


@repository.tool(effect="read")
async def show(context: Context, folder: str, commit: str = "HEAD", path: str | None = None) -> str:
    """Show one commit with what it changed, or the content that a file (`path`) had in it."""
    what = f"{revision(commit)}:{path}" if path else revision(commit)
    return await in_repository(context, "show", *_PLAIN, "--end-of-options", what, folder=folder)


@repository.tool(effect="read")
async def branches(context: Context, folder: str) -> str:
    """List the branches, those of `origin` too, each with its newest commit."""
    return await in_repository(context, "branch", "--all", "--verbose", "--no-color", folder=folder)


@repository.tool(effect="write")
async def branch(context: Context, folder: str, name: str, start: str = "HEAD") -> str:
    """Make a branch at a commit or another branch, and check it out."""
    await in_repository(
        context, "checkout", "--quiet", "-b", branch_name(name), "--no-track", revision(start), "--", folder=folder
    )
    return await git(context, *STATUS, folder=folder)


@repository.tool(effect="write")
async def checkout(context: Context, folder: str, name: str) -> str:
    """Check out a branch or commit. Refused where that would lose changes that aren't committed."""
    await in_repository(context, "checkout", "--quiet", "--no-recurse-submodules", revision(name), "--", folder=folder)
    return await git(context, *STATUS, folder=folder)


@repository.tool(effect="write")
async def commit(context: Context, folder: str, message: str, paths: list[str] | None = None) -> str:
    """Commit what has changed in the files: in all of them, new and deleted ones too, or in those of `paths`."""
    if not message.strip():
        raise ToolFailed("Give a message that says what the commit does.")
    await stage_changes(context, paths or ["."], folder=folder)
    return await git(context, "commit", "--no-verify", "--cleanup=strip", "--file=-", folder=folder, stdin=message)


@repository.tool(effect="write")
async def push(context: Context, folder: str, branch: str) -> str:
    """Send the commits of a branch to the branch of that name of `origin`. Never replaces commits that are there."""
    _inside(folder)
    return await remotes.push(context, folder, branch)


def _inside(folder: str) -> None:
    if folder.startswith(("/", "-")) or ".." in folder.split("/") or not folder.strip():
        raise ToolFailed("Give the repository's folder as a path in the workspace, such as project.")


@hookimpl
def register_toolset() -> Toolset:
    """The toolset `git`."""
    return repository
