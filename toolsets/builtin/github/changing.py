"""Tools that change things on GitHub."""

import base64
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from toolsets import ToolFailed
from toolsets.builtin.github import reading
from toolsets.builtin.github.connecting import Context, NotThere, connected
from toolsets.builtin.github.looking import REPOSITORY, Number, Ref, Repository, parts
from toolsets.builtin.github.toolset import github

if TYPE_CHECKING:
    from toolsets.builtin.github.api import Api

MAX_FILE_CHARACTERS = 500_000

Title = Annotated[str, Field(min_length=1, max_length=256)]
Body = Annotated[str, Field(max_length=65_536, description="Markdown.")]
Branch = Annotated[str, Field(min_length=1, max_length=250, pattern=r"^[^\s~^:?*\[\\]+$")]
Labels = Annotated[list[str], Field(max_length=50)]

_CONTENT = f"{REPOSITORY}/contents{{/path*}}"
_REF = f"{REPOSITORY}/git/ref/heads{{/branch*}}"


@github.tool(effect="write")
async def create_issue(
    context: Context,
    repository: Repository,
    title: Title,
    body: Body = "",
    labels: Labels = [],  # noqa: B006
) -> dict[str, object]:
    """Open an issue."""
    where = _writable(context, repository)
    async with connected(context) as api:
        data = {"title": title, "body": body, "labels": labels}
        return reading.issue(await api.post(f"{REPOSITORY}/issues", where, data))


@github.tool(effect="write", idempotent=True)
async def update_issue(
    context: Context,
    repository: Repository,
    number: Number,
    title: Title | None = None,
    body: Body | None = None,
    state: Literal["open", "closed"] | None = None,
    labels: Annotated[list[str] | None, Field(max_length=50, description="All that it shall have.")] = None,
    assignees: Annotated[list[str] | None, Field(max_length=10, description="All that it shall have.")] = None,
) -> dict[str, object]:
    """Change an issue or pull request: title, text, labels, assignees; close it or open it again."""
    where = _writable(context, repository) | {"number": str(number)}
    given = {"title": title, "body": body, "state": state, "labels": labels, "assignees": assignees}
    data = {name: value for name, value in given.items() if value is not None}
    if not data:
        raise ToolFailed("Say what shall be changed.")
    async with connected(context) as api:
        return reading.issue(await api.patch(f"{REPOSITORY}/issues/{{number}}", where, data))


@github.tool(effect="write")
async def comment(context: Context, repository: Repository, number: Number, body: Body) -> dict[str, object]:
    """Write a comment below an issue or pull request."""
    where = _writable(context, repository) | {"number": str(number)}
    async with connected(context) as api:
        made = await api.post(f"{REPOSITORY}/issues/{{number}}/comments", where, {"body": body})
    return {"id": made["id"], "html_url": made["html_url"]}


@github.tool(effect="write", idempotent=True)
async def create_branch(
    context: Context, repository: Repository, branch: Branch, from_ref: Ref = None
) -> dict[str, object]:
    """Make a branch from the head of another, of the default branch if none is named."""
    where: dict[str, Any] = _writable(context, repository)
    for ref in (branch, from_ref or ""):
        parts(ref)
    async with connected(context) as api:
        source = from_ref or (await api.get(REPOSITORY, where))["default_branch"]
        sha = (await api.get(f"{REPOSITORY}/commits/{{source}}", where | {"source": source}))["sha"]
        try:
            await api.post(f"{REPOSITORY}/git/refs", where, {"ref": f"refs/heads/{branch}", "sha": sha})
        except ToolFailed as failure:
            if "already exists" not in str(failure) or await _head(api, where, branch) != sha:
                raise
    return {"branch": branch, "sha": sha}


@github.tool(effect="write", idempotent=True)
async def write_file(
    context: Context,
    repository: Repository,
    path: str,
    content: Annotated[str, Field(max_length=MAX_FILE_CHARACTERS)],
    message: Annotated[str, Field(min_length=1, max_length=2_000, description="Of the commit.")],
    branch: Branch,
) -> dict[str, object]:
    """Commit a text file to a branch: a new one, or a new content of one that is there."""
    where: dict[str, Any] = _writable(context, repository) | {"path": parts(path)}
    async with connected(context) as api:
        before = await _file(api, where, branch)
        encoded = base64.b64encode(content.encode()).decode()
        if before and "".join(before.get("content", "-").split()) == encoded:
            return {"path": path, "branch": branch, "unchanged": True}
        data = {"message": message, "content": encoded, "branch": branch} | ({"sha": before["sha"]} if before else {})
        made = await api.put(_CONTENT, where, data)
    return {"path": path, "branch": branch, "commit": made["commit"]["sha"]}


@github.tool(effect="write")
async def create_pull_request(
    context: Context,
    repository: Repository,
    title: Title,
    from_branch: Branch,
    into_branch: Branch,
    body: Body = "",
    draft: bool = False,  # noqa: FBT001, FBT002 - a parameter for models
) -> dict[str, object]:
    """Propose to merge a branch into another."""
    where = _writable(context, repository)
    data = {"title": title, "head": from_branch, "base": into_branch, "body": body, "draft": draft}
    async with connected(context) as api:
        return reading.pull_request(await api.post(f"{REPOSITORY}/pulls", where, data))


@github.tool(effect="write")
async def run_workflow(
    context: Context,
    repository: Repository,
    workflow: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}$", description="File name, or id.")],
    ref: Branch,
    inputs: Annotated[dict[str, str], Field(max_length=25)] = {},  # noqa: B006
) -> dict[str, object]:
    """Start a GitHub Actions workflow that has `workflow_dispatch`. github_list_workflow_runs shows its run."""
    where = _writable(context, repository) | {"workflow": workflow}
    async with connected(context) as api:
        await api.post(f"{REPOSITORY}/actions/workflows/{{workflow}}/dispatches", where, {"ref": ref, "inputs": inputs})
    return {"workflow": workflow, "ref": ref, "started": True}


@github.tool(effect="destroy")
async def merge_pull_request(
    context: Context,
    repository: Repository,
    number: Number,
    head_sha: Annotated[str, Field(pattern="^[0-9a-f]{40}$", description="Which state of it you have looked at.")],
    method: Literal["merge", "squash", "rebase"] = "merge",
) -> dict[str, object]:
    """Merge a pull request, if its head is still the one you have looked at. It can't be taken out of the history."""
    where = _writable(context, repository) | {"number": str(number)}
    async with connected(context) as api:
        data = {"sha": head_sha, "merge_method": method}
        made = await api.put(f"{REPOSITORY}/pulls/{{number}}/merge", where, data)
    return {"number": number, "merged": made["merged"], "commit": made["sha"]}


@github.tool(effect="destroy")
async def delete_file(
    context: Context,
    repository: Repository,
    path: str,
    message: Annotated[str, Field(min_length=1, max_length=2_000, description="Of the commit.")],
    branch: Branch,
) -> dict[str, object]:
    """Commit the deletion of a file to a branch."""
    where: dict[str, Any] = _writable(context, repository) | {"path": parts(path)}
    async with connected(context) as api:
        before = await _file(api, where, branch)
        if not before:
            raise ToolFailed(f"There is no file {path} on {branch}.")
        await api.delete(_CONTENT, where, {"message": message, "branch": branch, "sha": before["sha"]})
    return {"path": path, "branch": branch, "deleted": True}


@github.tool(effect="destroy")
async def delete_branch(context: Context, repository: Repository, branch: Branch) -> dict[str, object]:
    """Delete a branch. The default branch can't be deleted."""
    where: dict[str, Any] = _writable(context, repository)
    async with connected(context) as api:
        if (await api.get(REPOSITORY, where))["default_branch"] == branch:
            raise ToolFailed(f"{branch} is the default branch, which isn't deleted.")
        await api.delete(f"{REPOSITORY}/git/refs/heads{{/branch*}}", where | {"branch": parts(branch)})
    return {"branch": branch, "deleted": True}


def _writable(context: Context, repository: str) -> dict[str, str]:
    context.settings.check_writable()
    return context.settings.located(repository)


async def _head(api: "Api", where: dict[str, Any], branch: str) -> str:
    return str((await api.get(_REF, where | {"branch": parts(branch)}))["object"]["sha"])


async def _file(api: "Api", where: dict[str, Any], branch: str) -> dict[str, Any] | None:
    """A file as it is on a branch, or None."""
    try:
        found = await api.get(f"{_CONTENT}{{?ref}}", where | {"ref": branch})
    except NotThere:
        return None
    if not isinstance(found, dict):
        raise ToolFailed("That is a folder, not a file.")
    return found
