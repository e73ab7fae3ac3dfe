"""Tools that look at GitHub."""

import base64
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import Field

from toolsets import ToolFailed
from toolsets.builtin.github import reading
from toolsets.builtin.github.connecting import Context, connected, fetched
from toolsets.builtin.github.toolset import github

MAX_FILE_CHARACTERS = 100_000
MAX_LOG_BYTES = 1_000_000

REPOSITORY = "/repos/{owner}/{repo}"

Repository = Annotated[str, Field(description="As owner/name.")]
Number = Annotated[int, Field(ge=1)]
Limit = Annotated[int, Field(ge=1, le=100)]
Page = Annotated[int, Field(ge=1, le=1_000)]
Ref = Annotated[str | None, Field(description="Branch, tag or commit; none: the default branch.", max_length=250)]


@github.tool(effect="read")
async def get_repository(context: Context, repository: Repository) -> dict[str, object]:
    """Read what a repository is: its description, default branch and state."""
    where = context.settings.located(repository)
    async with connected(context) as api:
        return reading.repository(await api.get(REPOSITORY, where))


@github.tool(effect="read")
async def list_files(
    context: Context, repository: Repository, path: str = "", ref: Ref = None
) -> list[dict[str, object]]:
    """List the files and folders in a folder of a repository."""
    found = await _content(context, repository, path, ref)
    if not isinstance(found, list):
        raise ToolFailed(f"{path} is a file. Read it with github_read_file.")
    return [{name: entry[name] for name in ("path", "type", "size")} for entry in found]


@github.tool(effect="read", max_output=2 * MAX_FILE_CHARACTERS)
async def read_file(context: Context, repository: Repository, path: str, ref: Ref = None) -> dict[str, object]:
    """Read a text file of a repository, and the `sha` of its content."""
    found = await _content(context, repository, path, ref)
    if isinstance(found, list):
        raise ToolFailed(f"{path} is a folder. List it with github_list_files.")
    if found.get("encoding") != "base64":
        raise ToolFailed(f"{path} can't be read: it is a {found.get('type')} of {found.get('size')} bytes.")
    text = base64.b64decode(found["content"]).decode(errors="replace")
    cut = (
        {"cut": f"the first {MAX_FILE_CHARACTERS} of {len(text)} characters"} if len(text) > MAX_FILE_CHARACTERS else {}
    )
    return {"path": found["path"], "sha": found["sha"], "content": text[:MAX_FILE_CHARACTERS], **cut}


@github.tool(effect="read")
async def search_code(
    context: Context,
    repository: Repository,
    query: Annotated[str, Field(min_length=1, max_length=200)],
    limit: Limit = 30,
) -> list[dict[str, object]]:
    """Search the files of a repository's default branch for words."""
    where = context.settings.located(repository)
    full_name = f"{where['owner']}/{where['repo']}"
    async with connected(context) as api:
        found = await api.get("/search/code{?q,per_page}", {"q": f"{query} repo:{full_name}", "per_page": str(limit)})
    # A query may name other repositories too, and GitHub then searches all of them.
    items = [item for item in found["items"] if item["repository"]["full_name"].lower() == full_name.lower()]
    return [{"path": item["path"], "sha": item["sha"]} for item in items]


@github.tool(effect="read")
async def list_issues(
    context: Context,
    repository: Repository,
    state: Literal["open", "closed", "all"] = "open",
    labels: Annotated[list[str], Field(max_length=20, description="Only issues with all of them.")] = [],  # noqa: B006
    limit: Limit = 30,
    page: Page = 1,
) -> list[dict[str, object]]:
    """List issues, the newest first. Pull requests are left out."""
    where = context.settings.located(repository)
    query = {"state": state, "per_page": str(limit), "page": str(page)} | (
        {"labels": ",".join(labels)} if labels else {}
    )
    async with connected(context) as api:
        found = await api.get(f"{REPOSITORY}/issues{{?state,labels,per_page,page}}", where | query)
    return [reading.issue(each) for each in found if "pull_request" not in each]


@github.tool(effect="read")
async def get_issue(context: Context, repository: Repository, number: Number) -> dict[str, object]:
    """Read an issue or the conversation of a pull request, with up to 100 comments."""
    where = context.settings.located(repository) | {"number": str(number)}
    async with connected(context) as api:
        found = await api.get(f"{REPOSITORY}/issues/{{number}}", where)
        comments = await api.get(f"{REPOSITORY}/issues/{{number}}/comments?per_page=100", where)
    told = [reading.comment(each) for each in comments]
    return {**reading.issue(found), "body": reading.body(found), "conversation": told}


@github.tool(effect="read")
async def list_pull_requests(
    context: Context,
    repository: Repository,
    state: Literal["open", "closed", "all"] = "open",
    limit: Limit = 30,
    page: Page = 1,
) -> list[dict[str, object]]:
    """List pull requests, the newest first."""
    where = context.settings.located(repository)
    query = {"state": state, "per_page": str(limit), "page": str(page)}
    async with connected(context) as api:
        found = await api.get(f"{REPOSITORY}/pulls{{?state,per_page,page}}", where | query)
    return [reading.pull_request(each) for each in found]


@github.tool(effect="read")
async def get_pull_request(context: Context, repository: Repository, number: Number) -> dict[str, object]:
    """Read a pull request: what it changes in up to 100 files, and what its checks say."""
    where: dict[str, Any] = context.settings.located(repository) | {"number": str(number)}
    async with connected(context) as api:
        found = await api.get(f"{REPOSITORY}/pulls/{{number}}", where)
        files = await api.get(f"{REPOSITORY}/pulls/{{number}}/files?per_page=100", where)
        where["sha"] = found["head"]["sha"]
        checks = await api.get(f"{REPOSITORY}/commits/{{sha}}/check-runs?per_page=100", where)
    return {
        **reading.pull_request(found),
        "body": reading.body(found),
        "files": [reading.changed_file(each) for each in files],
        "checks": [{name: check[name] for name in ("name", "status", "conclusion")} for check in checks["check_runs"]],
    }


@github.tool(effect="read")
async def list_workflow_runs(
    context: Context,
    repository: Repository,
    branch: Annotated[str | None, Field(max_length=250)] = None,
    status: Literal["queued", "in_progress", "completed", "success", "failure", "cancelled"] | None = None,
    limit: Limit = 20,
    page: Page = 1,
) -> list[dict[str, object]]:
    """List runs of GitHub Actions workflows, the newest first."""
    where = context.settings.located(repository)
    given = {"branch": branch, "status": status, "per_page": str(limit), "page": str(page)}
    query = {name: value for name, value in given.items() if value is not None}
    async with connected(context) as api:
        found = await api.get(f"{REPOSITORY}/actions/runs{{?branch,status,per_page,page}}", where | query)
    return [reading.workflow_run(run) for run in found["workflow_runs"]]


@github.tool(effect="read")
async def get_workflow_run(context: Context, repository: Repository, run_id: Number) -> dict[str, object]:
    """Read a run of a workflow: its jobs, and which of their steps failed."""
    where = context.settings.located(repository) | {"run": str(run_id)}
    async with connected(context) as api:
        found = await api.get(f"{REPOSITORY}/actions/runs/{{run}}", where)
        jobs = await api.get(f"{REPOSITORY}/actions/runs/{{run}}/jobs?per_page=100", where)
    return {**reading.workflow_run(found), "jobs": [reading.job(each) for each in jobs["jobs"]]}


@github.tool(effect="read", max_output=200_000)
async def job_log(
    context: Context,
    repository: Repository,
    job_id: Number,
    tail_lines: Annotated[int, Field(ge=1, le=2_000)] = 200,
) -> str:
    """Read the last lines of the log of a job. github_get_workflow_run tells its id."""
    where = context.settings.located(repository) | {"job": str(job_id)}
    async with connected(context) as api:
        url = await api.location(f"{REPOSITORY}/actions/jobs/{{job}}/logs", where)
    text = (await fetched(context, url, most=MAX_LOG_BYTES)).decode(errors="replace")
    return "".join(text.splitlines(keepends=True)[-tail_lines:]) or "(no lines)"


def parts(path: str) -> list[str]:
    """The parts of a path in a repository. Raises `ToolFailed` if it leads out."""
    found = [part for part in PurePosixPath(path.strip("/") or ".").parts if part != "."]
    if ".." in found or any(character in path for character in "\0\r\n"):
        raise ToolFailed(f"{path!r} is no path in a repository. Use one such as src/main.py.")
    return found


async def _content(context: Context, repository: str, path: str, ref: str | None) -> Any:
    where: dict[str, Any] = context.settings.located(repository) | {"path": parts(path)}
    async with connected(context) as api:
        return await api.get(f"{REPOSITORY}/contents{{/path*}}{{?ref}}", where | ({"ref": ref} if ref else {}))
