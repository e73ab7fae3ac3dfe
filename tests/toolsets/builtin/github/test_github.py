import time
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.toolsets.builtin.github.api_server import TOKEN, limited
from tests.toolsets.builtin.github.conftest import Hub
from toolsets import Retryable, SettingsInvalid, ToolFailed
from toolsets.builtin.github import github
from toolsets.testing import conforms

pytestmark = pytest.mark.integration

READS = {
    "get_repository": {},
    "list_files": {},
    "read_file": {"path": "README.md"},
    "search_code": {"query": "hat"},
    "list_issues": {},
    "get_issue": {"number": 1},
    "list_pull_requests": {},
    "get_pull_request": {"number": 2},
    "list_workflow_runs": {"branch": "main"},
    "get_workflow_run": {"run_id": 30},
    "job_log": {"job_id": 31},
}
WRITES: dict[str, dict[str, Any]] = {
    "create_issue": {"title": "Broken"},
    "update_issue": {"number": 1, "state": "closed"},
    "comment": {"number": 1, "body": "Seen."},
    "create_branch": {"branch": "fix"},
    "write_file": {"path": "a.txt", "content": "a", "message": "Add", "branch": "main"},
    "create_pull_request": {"title": "Fix", "from_branch": "main", "into_branch": "main"},
    "run_workflow": {"workflow": "deploy.yml", "ref": "main"},
}
DESTROYS: dict[str, dict[str, Any]] = {
    "merge_pull_request": {"number": 2, "head_sha": "a" * 40},
    "delete_file": {"path": "README.md", "message": "Remove", "branch": "main"},
    "delete_branch": {"branch": "fix"},
}


def test_the_toolset_keeps_the_contract() -> None:
    conforms(github)


def test_each_tool_says_what_it_does_to_the_world() -> None:
    effects = {
        name: {tool.name.removeprefix("github_") for tool in github.tools.values() if tool.effect == name}
        for name in ("read", "write", "destroy")
    }

    assert effects == {"read": READS.keys(), "write": WRITES.keys(), "destroy": DESTROYS.keys()}


def test_what_can_be_done_twice_says_so() -> None:
    twice = {tool.name for tool in github.tools.values() if tool.idempotent and tool.effect != "read"}

    assert twice == {"github_update_issue", "github_create_branch", "github_write_file"}


async def test_files_are_listed_and_read(hub: Hub) -> None:
    assert [entry["path"] for entry in await hub.call("list_files")] == ["README.md", "src"]
    assert [entry["path"] for entry in await hub.call("list_files", path="/src/")] == ["src/a.py"]
    assert (await hub.call("read_file", path="src/a.py"))["content"] == "a\n"


async def test_a_folder_is_no_file_and_a_file_no_folder(hub: Hub) -> None:
    with pytest.raises(ToolFailed, match="is a folder"):
        await hub.call("read_file", path="src")
    with pytest.raises(ToolFailed, match="is a file"):
        await hub.call("list_files", path="README.md")


async def test_a_long_file_is_cut_with_a_note(hub: Hub) -> None:
    hub.server.files["main"]["big.txt"] = "x" * 150_000

    read = await hub.call("read_file", path="big.txt")

    assert len(read["content"]) == 100_000
    assert read["cut"] == "the first 100000 of 150000 characters"


async def test_issues_come_page_by_page_without_pull_requests(hub: Hub) -> None:
    hub.server.add_issue("One", labels=["bug"])
    hub.server.add_issue("Two", pull_request={"url": "…"}, labels=["bug"])
    hub.server.add_issue("Three")

    assert [issue["title"] for issue in await hub.call("list_issues")] == ["Three", "One"]
    assert [issue["title"] for issue in await hub.call("list_issues", labels=["bug"])] == ["One"]
    assert [issue["title"] for issue in await hub.call("list_issues", limit=1, page=3)] == ["One"]


async def test_an_issue_is_opened_changed_and_commented(hub: Hub) -> None:
    opened = await hub.call("create_issue", title="Broken", body="It is.", labels=["bug"])
    await hub.call("update_issue", number=opened["number"], state="closed", assignees=["ada"])
    await hub.call("comment", number=opened["number"], body="Mended.")

    read = await hub.call("get_issue", number=opened["number"])
    assert (read["state"], read["assignees"], read["labels"], read["body"]) == ("closed", ["ada"], ["bug"], "It is.")
    assert [comment["body"] for comment in read["conversation"]] == ["Mended."]


async def test_a_change_goes_from_branch_to_merge(hub: Hub) -> None:
    await hub.call("create_branch", branch="fix/it")
    await hub.call("write_file", path="src/a.py", content="b\n", message="Mend", branch="fix/it")
    opened = await hub.call("create_pull_request", title="Mend", from_branch="fix/it", into_branch="main")
    read = await hub.call("get_pull_request", number=opened["number"])
    merged = await hub.call("merge_pull_request", number=opened["number"], head_sha=read["head_sha"])

    assert hub.server.files["fix/it"]["src/a.py"] == "b\n"
    assert hub.server.files["main"]["src/a.py"] == "a\n"
    assert read["checks"] == [{"name": "tests", "status": "completed", "conclusion": "failure"}]
    assert len(read["files"][0]["patch"]) < 5_000
    assert merged["merged"] is True


async def test_a_pull_request_is_merged_only_as_it_was_looked_at(hub: Hub) -> None:
    await hub.call("create_branch", branch="fix")
    opened = await hub.call("create_pull_request", title="Mend", from_branch="fix", into_branch="main")

    with pytest.raises(ToolFailed, match="Head branch was modified"):
        await hub.call("merge_pull_request", number=opened["number"], head_sha="a" * 40)


async def test_what_was_done_already_is_not_done_again(hub: Hub) -> None:
    arguments = {"path": "src/a.py", "content": "b\n", "message": "Mend", "branch": "fix"}

    first, second = await hub.call("create_branch", branch="fix"), await hub.call("create_branch", branch="fix")
    await hub.call("write_file", **arguments)
    again = await hub.call("write_file", **arguments)

    assert first == second
    assert again["unchanged"] is True
    assert [method for method, _ in hub.server.requests].count("PUT") == 1


async def test_a_branch_of_the_same_name_elsewhere_is_not_taken_for_it(hub: Hub) -> None:
    hub.server.files["fix"] = {"other": "content"}

    with pytest.raises(ToolFailed, match="Reference already exists"):
        await hub.call("create_branch", branch="fix")


async def test_files_and_branches_are_deleted_but_not_the_default_branch(hub: Hub) -> None:
    await hub.call("create_branch", branch="fix")
    await hub.call("delete_file", path="src/a.py", message="Remove", branch="fix")
    after = dict(hub.server.files["fix"])
    await hub.call("delete_branch", branch="fix")
    with pytest.raises(ToolFailed, match="main is the default branch"):
        await hub.call("delete_branch", branch="main")

    assert after == {"README.md": "# Shop\n"}
    assert list(hub.server.files) == ["main"]


async def test_workflows_are_started_and_looked_at(hub: Hub) -> None:
    await hub.call("run_workflow", workflow="deploy.yml", ref="main", inputs={"to": "staging"})
    [run] = await hub.call("list_workflow_runs", branch="main")
    read = await hub.call("get_workflow_run", run_id=run["id"])

    assert hub.server.dispatched == [{"workflow": "deploy.yml", "ref": "main", "inputs": {"to": "staging"}}]
    assert read["jobs"][0]["failed_steps"] == ["Run tests"]


async def test_a_log_is_fetched_where_github_keeps_it_without_the_credentials(hub: Hub) -> None:
    assert await hub.call("job_log", job_id=31, tail_lines=2) == "two\nthree\n"
    assert hub.server.anonymous == [""]


async def test_a_search_finds_nothing_of_other_repositories(hub: Hub) -> None:
    for owner in ("acme/shop", "acme/payroll"):
        hub.server.found.append({"path": f"{owner}.py", "sha": "0", "repository": {"full_name": owner}})

    found = await hub.call("search_code", query="salary repo:acme/payroll")

    assert [item["path"] for item in found] == ["acme/shop.py"]


@pytest.mark.parametrize("repositories", [["acme/payroll"], ["other/*"], []])
@pytest.mark.parametrize(("tool", "arguments"), (READS | WRITES | DESTROYS).items())
async def test_other_repositories_are_out_of_bounds(
    hub: Hub, tool: str, arguments: dict[str, Any], repositories: list[str]
) -> None:
    with pytest.raises(ToolFailed, match="The repository acme/shop is out of bounds"):
        await hub.call(tool, settings={"repositories": repositories}, **arguments)

    assert hub.server.requests == []


@pytest.mark.parametrize("repositories", [["acme/shop"], ["ACME/Shop"], ["acme/*"]])
async def test_repositories_of_the_list_are_not(hub: Hub, repositories: list[str]) -> None:
    read = await hub.call("get_repository", settings={"repositories": repositories})

    assert read["full_name"] == "acme/shop"


@pytest.mark.parametrize(("tool", "arguments"), (WRITES | DESTROYS).items())
async def test_nothing_is_changed_where_it_is_read_only(hub: Hub, tool: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(ToolFailed, match="read-only here"):
        await hub.call(tool, settings={"read_only": True}, **arguments)

    assert hub.server.requests == []


@pytest.mark.parametrize(
    "repository", ["shop", "acme/..", "acme/shop/issues", "../acme/shop", "acme/shop?x", "a b/c", ""]
)
async def test_what_is_no_repository_is_refused(hub: Hub, repository: str) -> None:
    with pytest.raises(ToolFailed, match="is no repository"):
        await hub.call("get_repository", repository=repository)


@pytest.mark.parametrize("path", ["../payroll", "a/../../b", "a\r\nb"])
async def test_a_path_that_leads_out_is_refused(hub: Hub, path: str) -> None:
    with pytest.raises(ToolFailed, match="is no path in a repository"):
        await hub.call("read_file", path=path)

    assert hub.server.requests == []


@pytest.mark.parametrize("refs", [{"branch": "../fix"}, {"branch": "fix", "from_ref": "../../payroll"}])
async def test_a_branch_that_leads_out_is_refused(hub: Hub, refs: dict[str, str]) -> None:
    with pytest.raises(ToolFailed, match="is no path in a repository"):
        await hub.call("create_branch", **refs)

    assert hub.server.requests == []


async def test_a_path_with_signs_of_its_own_is_still_a_path(hub: Hub) -> None:
    hub.server.files["main"]["a?b=c/d #1%2e.txt"] = "found"

    assert (await hub.call("read_file", path="a?b=c/d #1%2e.txt"))["content"] == "found"


@pytest.mark.parametrize(
    ("secrets", "arguments", "reason"),
    [
        ({"github_token": "another"}, {}, "doesn't accept the credentials. It says: Bad credentials"),
        (None, {"repository": "acme/none"}, "no such thing, or the credentials may not see it"),
    ],
)
async def test_a_refusal_says_what_is_wrong(
    hub: Hub, secrets: dict[str, str] | None, arguments: dict[str, str], reason: str
) -> None:
    with pytest.raises(ToolFailed, match=reason):
        await hub.call("get_repository", secrets=secrets, **arguments)


async def test_what_is_invalid_is_told_in_the_words_of_github(hub: Hub) -> None:
    with pytest.raises(ToolFailed, match=r"GitHub finds it invalid\. It says: Validation Failed for 'head'"):
        await hub.call("create_pull_request", title="Mend", from_branch="none", into_branch="main")


async def test_a_used_up_rate_limit_is_waited_for(hub: Hub) -> None:
    reset = str(int(time.time()) + 100)
    hub.server.failures.append(
        limited(**{"x-ratelimit-limit": "60", "x-ratelimit-remaining": "0", "x-ratelimit-reset": reset})
    )

    with pytest.raises(Retryable) as caught:
        await hub.call("get_repository")

    assert 90 < (caught.value.after_seconds or 0) <= 100


async def test_a_pause_that_github_asks_for_is_made(hub: Hub) -> None:
    hub.server.failures.append(limited(**{"retry-after": "7"}))

    with pytest.raises(Retryable) as caught:
        await hub.call("get_repository")

    assert caught.value.after_seconds == 7


async def test_an_app_acts_with_a_token_of_its_installation(hub: Hub) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()

    read = await hub.call(
        "get_repository",
        settings={"app_id": "12", "installation_id": "7"},
        secrets={"github_private_key": pem},
    )

    assert read["full_name"] == "acme/shop"


async def test_a_key_that_is_none_is_told_without_quoting_it(hub: Hub) -> None:
    with pytest.raises(ToolFailed) as caught:
        await hub.call(
            "get_repository",
            settings={"app_id": "12", "installation_id": "7"},
            secrets={"github_private_key": TOKEN},
        )

    assert "private key of the GitHub App can't be used" in str(caught.value)
    assert TOKEN not in str(caught.value)


async def test_a_server_in_a_private_network_is_not_asked_unless_allowed(hub: Hub) -> None:
    with pytest.raises(ToolFailed, match=r"127\.0\.0\.1 isn't on the public internet"):
        await hub.call("get_repository", settings={"allowed_networks": []})


@pytest.mark.parametrize(
    "settings",
    [
        {"base_url": "http://github.example.com"},
        {"base_url": "https://user:pass@github.example.com"},
        {"repositories": ["acme"]},
        {"repositories": ["*/*"]},
        {"app_id": "12"},
        {"colour": "blue"},
    ],
)
def test_settings_that_can_not_be_meant_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(SettingsInvalid):
        github.configured(settings)
