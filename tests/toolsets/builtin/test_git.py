import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.toolsets.builtin.authority import Authority
from tests.toolsets.builtin.git_server import GitServer, git, make_repository, serving
from tests.toolsets.builtin.places import PLACES
from toolsets import SettingsInvalid, ToolFailed
from toolsets.builtin import addresses
from toolsets.builtin.git import repository
from toolsets.testing import call, conforms

pytestmark = pytest.mark.integration

LOCAL = {"allowed_networks": ["127.0.0.0/8"], "plain_http": True}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitServer]:
    """With one repository, `begun.git`, which nobody changes."""
    folder = tmp_path_factory.mktemp("repositories")
    make_repository(folder, "begun.git")
    with serving(GitServer(folder)) as running:
        yield running


@pytest.fixture
def origin(server: GitServer) -> str:
    """The name of a repository of this test alone, on the server."""
    name = f"{uuid4().hex}.git"
    shutil.copytree(server.folder / "begun.git", server.folder / name)
    return name


def somebody_pushes(server: GitServer, origin: str) -> None:
    git(server.folder, "clone", origin, f"{origin}-work")
    git(server.folder / f"{origin}-work", "commit", "--allow-empty", "-m", "Somebody else's")
    git(server.folder / f"{origin}-work", "push", "origin", "main")


@pytest.fixture(params=PLACES)
def settings(request: pytest.FixtureRequest) -> dict[str, Any]:
    return {**LOCAL, "sandbox": request.param}


@pytest.fixture
def fastest() -> dict[str, Any]:
    """For what is the same with and without a sandbox."""
    return {**LOCAL, "sandbox": "off"}


def test_it_keeps_the_contract() -> None:
    conforms(repository)


def test_each_tool_says_what_it_does_to_the_world() -> None:
    effects = {name.removeprefix("git_"): tool.effect for name, tool in repository.tools.items()}

    assert effects == {
        "clone": "write",
        "fetch": "write",
        "status": "read",
        "log": "read",
        "diff": "read",
        "show": "read",
        "branches": "read",
        "branch": "write",
        "checkout": "write",
        "commit": "write",
        "push": "write",
    }


async def test_a_change_goes_from_a_clone_to_the_server(
    server: GitServer, origin: str, settings: dict[str, Any], tmp_path: Path
) -> None:
    async def run(tool: str, **arguments: Any) -> Any:
        return await call(repository, tool, settings=settings, workspace=tmp_path, folder="project", **arguments)

    cloned = await run("clone", url=server.url(origin))
    branched = await run("branch", name="better")
    (tmp_path / "project/notes.txt").write_text("one\ntwo\n")
    (tmp_path / "project/new.txt").write_text("new\n")
    changed = await run("status")
    shown = await run("diff")
    await run("commit", message="Say more\n\nBecause one is not enough.")
    logged = await run("log", start="main..better")
    pushed = await run("push", branch="better")

    assert cloned == {"folder": "project", "status": "## main...origin/main\n"}
    assert branched.startswith("## better")
    assert changed == "## better\n M notes.txt\n?? new.txt\n"
    assert "+two" in shown
    assert "Agent <agent@localhost>\n    Say more\n" in logged
    assert "[new branch]" in pushed
    assert server.head(origin, "better") == "Say more"
    assert server.head(origin, "main") == "Begin"


async def test_what_others_have_pushed_is_fetched(
    server: GitServer, origin: str, settings: dict[str, Any], tmp_path: Path
) -> None:
    await call(
        repository, "clone", settings=settings, workspace=tmp_path, url=server.url(origin), folder="project", depth=1
    )
    somebody_pushes(server, origin)

    listed = await call(repository, "fetch", settings=settings, workspace=tmp_path, folder="project")

    assert "remotes/origin/main" in str(listed)
    assert git(tmp_path / "project", "log", "-1", "--format=%s", "origin/main") == "Somebody else's"


async def test_commits_that_others_have_made_are_not_replaced(
    project: Path, server: GitServer, origin: str, fastest: dict[str, Any], tmp_path: Path
) -> None:
    somebody_pushes(server, origin)
    (tmp_path / "project/notes.txt").write_text("mine")
    await call(repository, "commit", settings=fastest, workspace=tmp_path, folder="project", message="Mine")

    with pytest.raises(ToolFailed, match="rejected"):
        await call(repository, "push", settings=fastest, workspace=tmp_path, folder="project", branch="main")

    assert server.head(origin) == "Somebody else's"


@pytest.fixture(scope="module")
async def cloned(server: GitServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the toolset makes of a repository; copied by each test that needs one."""
    workspace = tmp_path_factory.mktemp("workspace")
    settings = {**LOCAL, "sandbox": "off"}
    await call(
        repository, "clone", settings=settings, workspace=workspace, url=server.url("begun.git"), folder="project"
    )
    return workspace / "project"


@pytest.fixture
def project(cloned: Path, server: GitServer, origin: str, tmp_path: Path) -> Path:
    """A clone of `origin` in the workspace `tmp_path`."""
    folder = tmp_path / "project"
    shutil.copytree(cloned, folder)
    configuration = folder / ".git/config"
    configuration.write_text(configuration.read_text().replace("begun.git", origin))
    return folder


@pytest.mark.parametrize(
    "configuration",
    [
        "[core]\n\tfsmonitor = touch HIT\n",
        "[core]\n\thooksPath = hooks\n",
        "[core]\n\tsshCommand = touch HIT\n",
        "[core]\n\tpager = touch HIT\n",
        "[core]\n\tworktree = /\n",
        "[credential]\n\thelper = !touch HIT\n",
        '[diff "x"]\n\ttextconv = touch HIT\n',
        "[diff]\n\texternal = touch HIT\n",
        '[filter "x"]\n\tclean = touch HIT\n',
        "[include]\n\tpath = ../elsewhere\n",
        "[extensions]\n\tworktreeConfig = true\n",
        '[url "https://evil.example/"]\n\tinsteadOf = https://github.com/\n',
        "[http]\n\tproxy = http://evil.example\n",
        '[remote "origin"]\n\tuploadpack = touch HIT\n',
        '[alias]\n\tstatus = "!touch HIT"\n',
    ],
)
async def test_a_configuration_that_runs_programs_is_refused(
    project: Path, fastest: dict[str, Any], tmp_path: Path, configuration: str
) -> None:
    with (project / ".git/config").open("a") as file:
        file.write(configuration.replace("HIT", str(tmp_path / "hit")))

    with pytest.raises(ToolFailed, match="Clone it anew"):
        await call(repository, "status", settings=fastest, workspace=tmp_path, folder="project")

    assert not (tmp_path / "hit").exists()


@pytest.fixture
def hostile_submodule(project: Path, tmp_path: Path) -> Path:
    """A repository inside of `project`, committed there, in which git would run a program. Returns what that makes."""
    inner = project / "inner"
    inner.mkdir()
    git(inner, "init", "--initial-branch=main")
    (inner / "file").write_text("before")
    git(inner, "add", ".")
    git(inner, "commit", "--message=Inner")
    (inner / "file").write_text("behind")
    (inner / ".gitattributes").write_text("* filter=x")
    (project / ".gitmodules").write_text('[submodule "inner"]\n\tpath = inner\n\turl = ./inner\n\tignore = none\n')
    git(project, "add", ".")
    git(project, "commit", "--message=Submodule")
    git(project, "branch", "other")
    (project / "notes.txt").write_text("changed")
    with (inner / ".git/config").open("a") as file:
        file.write(f'[filter "x"]\n\tclean = "touch {tmp_path}/hit"\n')
    return tmp_path / "hit"


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("status", {}),
        ("diff", {}),
        ("diff", {"staged": True}),
        ("show", {}),
        ("log", {}),
        ("branches", {}),
        ("branch", {"name": "new"}),
        ("checkout", {"name": "other"}),
        ("commit", {"message": "Change"}),
        ("commit", {"message": "Change", "paths": ["notes.txt", "inner"]}),
    ],
)
async def test_git_does_not_start_itself_in_submodules(
    project: Path, hostile_submodule: Path, fastest: dict[str, Any], tmp_path: Path, tool: str, arguments: Any
) -> None:
    await call(repository, tool, settings=fastest, workspace=tmp_path, folder="project", **arguments)

    assert not os.access(hostile_submodule, os.F_OK)


def bury(project: Path, configuration: str) -> None:
    """Put a setting in the middle of so many that a list of them all would be cut there."""
    harmless = [f'[branch "{number:0100}"]\n\tremote = origin\n' for number in range(6000)]
    with (project / ".git/config").open("a") as file:
        file.writelines([*harmless[:3000], configuration, *harmless[3000:]])


async def test_a_configuration_is_read_to_its_end(project: Path, fastest: dict[str, Any], tmp_path: Path) -> None:
    bury(project, f"[core]\n\tfsmonitor = touch {tmp_path}/hit\n")

    with pytest.raises(ToolFailed, match=r"sets core\.fsmonitor"):
        await call(repository, "status", settings=fastest, workspace=tmp_path, folder="project")

    assert not (tmp_path / "hit").exists()


async def test_files_of_every_kind_of_change_are_committed(
    project: Path, fastest: dict[str, Any], tmp_path: Path
) -> None:
    (project / "notes.txt").unlink()
    (project / "new folder").mkdir()
    (project / "new folder/ä -> b\n.txt").write_text("new")
    (project / "nested").mkdir()
    git(project / "nested", "init")

    await call(repository, "commit", settings=fastest, workspace=tmp_path, folder="project", message="Change")
    with pytest.raises(ToolFailed, match="nothing to commit"):
        await call(repository, "commit", settings=fastest, workspace=tmp_path, folder="project", message="Again")

    assert git(project, "ls-tree", "-r", "-z", "--name-only", "HEAD") == "new folder/ä -> b\n.txt\0"


def plant_hooks(project: Path, *, touching: Path) -> None:
    folder = project / ".git/hooks"
    folder.mkdir()
    for hook in ("pre-commit", "post-checkout", "commit-msg", "pre-push", "post-commit", "reference-transaction"):
        (folder / hook).write_text(f"#!/bin/sh\ntouch {touching}\n")
        (folder / hook).chmod(0o755)


async def test_hooks_do_not_run(project: Path, fastest: dict[str, Any], tmp_path: Path) -> None:
    plant_hooks(project, touching=tmp_path / "hit")
    (project / "notes.txt").write_text("changed")

    await call(repository, "commit", settings=fastest, workspace=tmp_path, folder="project", message="Change")
    await call(repository, "branch", settings=fastest, workspace=tmp_path, folder="project", name="other")
    await call(repository, "push", settings=fastest, workspace=tmp_path, folder="project", branch="other")

    assert not (tmp_path / "hit").exists()


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("log", {"start": "--output=hit"}),
        ("diff", {"start": "--output=hit"}),
        ("show", {"commit": "--output=hit"}),
        ("checkout", {"name": "--orphan"}),
        ("branch", {"name": "--upload-pack=touch hit"}),
        ("branch", {"name": "a..b"}),
        ("push", {"branch": "main:other"}),
        ("push", {"branch": "+main"}),
        ("push", {"branch": "--mirror"}),
    ],
)
async def test_arguments_are_not_taken_for_options(
    project: Path, fastest: dict[str, Any], tmp_path: Path, tool: str, arguments: dict[str, str]
) -> None:
    with pytest.raises(ToolFailed, match="is not"):
        await call(repository, tool, settings=fastest, workspace=tmp_path, folder="project", **arguments)

    assert not (project / "hit").exists()


@pytest.mark.parametrize(
    "url",
    [
        "ext::sh -c 'touch hit'",
        "file:///etc",
        "/etc",
        "git@github.com:a/b.git",
        "ssh://github.com/a/b",
        "git://github.com/a/b",
        "ftp://github.com/a/b",
        "--upload-pack=touch hit",
        "https://user:password@github.com/a/b",
        "https://github.com/a/b?x=1",
        "https:///a/b",
    ],
)
async def test_only_plain_urls_are_cloned(fastest: dict[str, Any], tmp_path: Path, url: str) -> None:
    with pytest.raises(ToolFailed, match=r"must be given as https|not a URL"):
        await call(repository, "clone", settings=fastest, workspace=tmp_path, url=url, folder="project")

    assert os.listdir(tmp_path) == []  # noqa: PTH208 - a list is what is compared


async def test_http_is_refused_unless_it_is_allowed(server: GitServer, origin: str, tmp_path: Path) -> None:
    settings = {"sandbox": "off", "allowed_networks": ["127.0.0.0/8"]}

    with pytest.raises(ToolFailed, match="must be given as https"):
        await call(repository, "clone", settings=settings, workspace=tmp_path, url=server.url(origin), folder="p")


async def test_a_private_address_is_refused(server: GitServer, origin: str, tmp_path: Path) -> None:
    settings = {"sandbox": "off", "plain_http": True}

    with pytest.raises(ToolFailed, match="isn't on the public internet"):
        await call(repository, "clone", settings=settings, workspace=tmp_path, url=server.url(origin), folder="p")


async def test_a_host_that_is_not_listed_is_refused(
    server: GitServer, origin: str, fastest: dict[str, Any], tmp_path: Path
) -> None:
    settings = {**fastest, "allowed_hosts": ["github.com"]}

    with pytest.raises(ToolFailed, match="may not be reached here"):
        await call(repository, "clone", settings=settings, workspace=tmp_path, url=server.url(origin), folder="p")


async def test_an_address_in_a_changed_configuration_is_refused(
    project: Path, fastest: dict[str, Any], tmp_path: Path
) -> None:
    git(project, "remote", "set-url", "origin", "http://169.254.169.254/repository")

    with pytest.raises(ToolFailed, match="isn't on the public internet"):
        await call(repository, "push", settings=fastest, workspace=tmp_path, folder="project", branch="main")


@pytest.mark.parametrize("branch", ["main", "release/1.0"])
async def test_a_protected_branch_is_not_pushed(
    project: Path, fastest: dict[str, Any], tmp_path: Path, branch: str
) -> None:
    settings = {**fastest, "protected_branches": ["main", "release/*"]}

    with pytest.raises(ToolFailed, match="may not be pushed to"):
        await call(repository, "push", settings=settings, workspace=tmp_path, folder="project", branch=branch)


async def test_nothing_is_pushed_where_pushing_is_off(project: Path, fastest: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ToolFailed, match="Nothing may be pushed"):
        await call(
            repository, "push", settings={**fastest, "push": False}, workspace=tmp_path, folder="project", branch="main"
        )


def test_the_network_can_not_be_opened_for_all_of_git() -> None:
    with pytest.raises(SettingsInvalid, match="network"):
        repository.configured({"network": True})


@pytest.fixture
def signed_in(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[GitServer]:
    """A server called git.test that wants a password, over TLS."""
    folder = tmp_path_factory.mktemp("signed-in")
    authority = Authority(folder)
    make_repository(folder, "private.git")
    server = GitServer(folder, host="git.test", password="x-access-token:t0ken")

    async def resolved(host: str, port: int) -> Sequence[str]:
        assert (host, port) == ("git.test", server.port)
        return ["127.0.0.1"]

    monkeypatch.setattr(addresses, "system_resolver", resolved)
    with serving(server, authority.server("git.test")) as running:
        yield running


def files_with(folder: Path, secret: bytes) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and secret in path.read_bytes()]


@pytest.mark.parametrize("place", PLACES)
async def test_a_token_reaches_its_host_and_nothing_in_the_workspace(
    signed_in: GitServer, tmp_path: Path, place: str
) -> None:
    settings = {
        "sandbox": place,
        "allowed_networks": ["127.0.0.0/8"],
        "ca_file": str(signed_in.folder / "authority.pem"),
        "tokens": {"git.test": "git_token"},
    }
    arguments = {"settings": settings, "secrets": {"git_token": "t0ken"}, "workspace": tmp_path, "folder": "project"}

    await call(repository, "clone", url=signed_in.url("private.git"), **arguments)
    (tmp_path / "project/notes.txt").write_text(place)
    await call(repository, "commit", message="Change", **arguments)
    await call(repository, "push", branch="main", **arguments)

    assert signed_in.head("private.git") == "Change"
    assert {*signed_in.authorizations} == {"Basic eC1hY2Nlc3MtdG9rZW46dDBrZW4="}
    assert files_with(tmp_path, b"t0ken") == files_with(tmp_path, b"eC1hY2Nlc3") == []


async def test_a_token_is_not_sent_to_another_host(signed_in: GitServer, tmp_path: Path) -> None:
    settings = {
        "sandbox": "off",
        "allowed_networks": ["127.0.0.0/8"],
        "ca_file": str(signed_in.folder / "authority.pem"),
        "tokens": {"other.test": "git_token"},
    }

    with pytest.raises(ToolFailed, match=r"could not read Username|Authentication failed"):
        await call(
            repository,
            "clone",
            settings=settings,
            secrets={"git_token": "t0ken"},
            workspace=tmp_path,
            url=signed_in.url("private.git"),
            folder="project",
        )

    assert {*signed_in.authorizations} == {None}


@pytest.mark.parametrize("folder", ["../other", "/etc", "-x", "", " "])
async def test_a_folder_outside_of_the_workspace_is_refused(
    fastest: dict[str, Any], tmp_path: Path, folder: str
) -> None:
    with pytest.raises(ToolFailed, match="path in the workspace"):
        await call(
            repository, "clone", settings=fastest, workspace=tmp_path, url="https://github.com/a/b", folder=folder
        )
