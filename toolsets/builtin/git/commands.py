"""Running git so that nothing but git runs.

A repository is data from strangers, and an agent can write into it. Git runs programs that a configuration names
(hooks, filters, pagers, editors, monitors, helpers), so it gets none of the machine's, and commands are refused where a
repository's own says more than where its branches come from.
"""

import asyncio
import functools
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from toolsets import ToolContext, ToolFailed
from toolsets.builtin import sandbox
from toolsets.builtin.git.settings import GitSettings
from toolsets.builtin.sandbox.preparing import PATH

Context = ToolContext[GitSettings]

_HARMLESS = re.compile(
    r"core\.(repositoryformatversion|filemode|bare|logallrefupdates|ignorecase|precomposeunicode|symlinks|autocrlf|eol)"
    r"|extensions\.(objectformat|refstorage)|init\.defaultbranch|user\.(name|email)|pull\.(rebase|ff)"
    r"|remote\..+\.(url|fetch|tagopt)|branch\..+\.(remote|merge|rebase)"
)
_CONFIGURATION = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "core.pager": "cat",
    "core.editor": "false",
    "core.sshCommand": "false",
    "core.askPass": "false",
    "core.untrackedCache": "false",
    "credential.helper": "",
    "commit.gpgSign": "false",
    "tag.gpgSign": "false",
    "log.showSignature": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "submodule.recurse": "false",
    "fetch.recurseSubmodules": "false",
    "push.recurseSubmodules": "no",
    "push.gpgSign": "false",
    "fetch.uriProtocols": "",
    "transfer.bundleURI": "false",
    "http.followRedirects": "false",
    "http.proxy": "",
    "advice.detachedHead": "false",
    "init.defaultBranch": "main",
}
_ENVIRONMENT = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_PROTOCOL_FROM_USER": "0",
    "GIT_PAGER": "cat",
    "GIT_EDITOR": "false",
    "GIT_ASKPASS": "false",
    "GIT_LITERAL_PATHSPECS": "1",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_LFS_SKIP_SMUDGE": "1",
}
_OLDEST = (2, 37)
"""The first that takes a configuration from its environment (2.31) and a host's address (`http.curloptResolve`)."""

_MOST_OUTPUT = 400_000
_MOST_LISTED = 20_000_000

STATUS = ("status", "--short", "--branch", "--ignore-submodules=all")
"""Not of submodules: git would start itself in there, without what is said here."""


async def git(
    context: Context,
    *arguments: str,
    folder: str = ".",
    stdin: str = "",
    protocols: str = "none",
    configuration: Mapping[str, str] | None = None,
    place: Path | None = None,
    readable: Sequence[Path] = (),
    network: bool = False,
    environment: Mapping[str, str] | None = None,
    whole: bool = False,
) -> str:
    """What git prints. `protocols` are those it may use to reach another repository, separated by colons.

    `place` is the folder to work in instead of the workspace. `whole`: too much is refused rather than cut. Raises
    `ToolFailed` with git's words if it fails.
    """
    settings = context.settings
    if (version := await asyncio.to_thread(_version)) < _OLDEST:
        raise ToolFailed(
            "The worker's git is older than 2.37, which can't be held to what it may do. Go on without it and say so."
            if version
            else "Git is not installed on the worker. Go on without this tool and say so."
        )
    if place is not None:
        settings = settings.model_copy(update={"root": None, "read_only": False})
    set_now = {**_CONFIGURATION, **(configuration or {})}
    done = await sandbox.run(
        ["git", "--no-pager", *arguments],
        folder=place or context.workspace,
        settings=settings,
        inner=folder,
        stdin=stdin.encode(),
        timeout=settings.timeout_seconds,
        network=network,
        readable=readable,
        environment={
            **_ENVIRONMENT,
            **_identity(settings),
            "GIT_ALLOW_PROTOCOL": protocols,
            # Not on the command line, which every user of the machine can read.
            "GIT_CONFIG_COUNT": str(len(set_now)),
            **{f"GIT_CONFIG_KEY_{number}": name for number, name in enumerate(set_now)},
            **{f"GIT_CONFIG_VALUE_{number}": value for number, value in enumerate(set_now.values())},
            **(environment or {}),
        },
        max_output=_MOST_LISTED if whole else _MOST_OUTPUT,
    )
    if whole and done.is_cut:
        raise ToolFailed("There is more in this repository than can be looked through here. Clone it anew.")
    if done.exit_code:
        said = done.stderr.strip() or done.stdout.strip() or f"exit code {done.exit_code}"
        raise ToolFailed(f"git {arguments[0]} failed: {said}")
    return done.stdout


async def in_repository(
    context: Context, *arguments: str, folder: str = ".", stdin: str = "", whole: bool = False
) -> str:
    """What git prints about a repository of the workspace whose own configuration runs nothing."""
    listed = await git(
        context, "config", "--local", "--no-includes", "--null", "--name-only", "--list", folder=folder, whole=True
    )
    for name in listed.split("\0"):
        if name and not _HARMLESS.fullmatch(name.lower()):
            raise ToolFailed(
                f"The configuration of this repository sets {name}, which could make git run other programs or reach"
                " other places. Clone it anew, or take the setting out of .git/config."
            )
    return await git(context, *arguments, folder=folder, stdin=stdin, whole=whole)


async def stage_changes(context: Context, paths: Sequence[str], *, folder: str) -> None:
    """Put what has changed in files into the next commit. Not by `git add`, which starts git in submodules."""
    changed = await in_repository(
        context,
        *("status", "--porcelain=v1", "-z", "--no-renames", "--untracked-files=all", "--ignore-submodules=all"),
        *("--", *paths),
        folder=folder,
        whole=True,
    )
    # `XY path`; a path that ends in / is a repository inside of this one.
    files = [entry[3:] for entry in changed.split("\0") if entry and not entry.endswith("/")]
    if not files:
        raise ToolFailed("Nothing has changed there, so there is nothing to commit.")
    await git(
        context, "update-index", "--add", "--remove", "-z", "--stdin", folder=folder, stdin="\0".join([*files, ""])
    )


@functools.cache
def _version() -> tuple[int, ...]:
    """Of the machine's git; nothing if there is none."""
    program = shutil.which("git", path=PATH)
    if program is None:
        return ()
    said = subprocess.run([program, "version"], env={}, capture_output=True, text=True, check=True).stdout  # noqa: S603
    found = re.search(r"(\d+)\.(\d+)", said)
    return (int(found[1]), int(found[2])) if found else (0,)


def revision(name: str) -> str:
    """A commit, branch or range that can't be taken for an option."""
    if not re.fullmatch(r"[A-Za-z0-9_@][A-Za-z0-9_@/.{}^~+-]{0,250}", name):
        raise ToolFailed(f"{name!r} is not the name of a commit, branch or tag.")
    return name


def branch_name(name: str) -> str:
    """The name of a branch, which can't be taken for anything else."""
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_/.+-]{0,200}", name) or ".." in name or name.endswith((".", "/")):
        raise ToolFailed(f"{name!r} is not a good name for a branch. Use letters, digits and - _ . /")
    return name


def _identity(settings: GitSettings) -> Mapping[str, str]:
    return {
        f"GIT_{role}_{what}": value
        for role in ("AUTHOR", "COMMITTER")
        for what, value in (("NAME", settings.author_name), ("EMAIL", settings.author_email))
    }
