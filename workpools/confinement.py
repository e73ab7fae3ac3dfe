"""What the process of an execution gives up before it touches anything of the execution."""

import ctypes
import os
import resource
import signal
import socket
import struct
import sys

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 4, 38

_CAPABILITY_VERSION_3, _CAP_SETFCAP = 0x20080522, 1 << 31

_FIRST_USER, _USERS = 61184, 4336
"""The range that systemd sets aside for users without a name that live as long as a process (`DynamicUser=`)."""


def _prctl(option: int, value: int) -> None:
    if sys.platform != "linux":
        return
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0):
        error = ctypes.get_errno()
        raise OSError(error, f"prctl({option}): {os.strerror(error)}")


def hide_memory() -> None:
    """Let no other process of the same user read this one's memory and environment, nor trace it."""
    _prctl(_PR_SET_DUMPABLE, 0)


def die_with(parent: int) -> None:
    """End at once when `parent` does. To be called after the user has changed, which forgets it."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def limit(*, memory: int, open_files: int) -> None:
    """Bound what this process and those that it starts may take, each for itself. Never above what holds already."""
    # Data rather than address space: of the latter JavaScript's engine, for one, reserves more than a machine has.
    for kind, most in ((resource.RLIMIT_DATA, memory), (resource.RLIMIT_NOFILE, open_files), (resource.RLIMIT_CORE, 0)):
        _, hard = resource.getrlimit(kind)
        bound = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (bound, bound))


def become(user: int) -> None:
    """Change to a user, and its group, for good."""
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)


def give_up_privileges() -> None:
    """Keep no right that root has beside its own files, and get none by starting a program.

    Who stays root keeps one, without which Linux lets it be nobody in a namespace of its own, as sandboxes have it: to
    give capabilities to files. It is root's files that it could give them to, and those it could change anyway.
    """
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    if sys.platform != "linux":
        return
    library = ctypes.CDLL(None, use_errno=True)
    header, held = struct.pack("Ii", _CAPABILITY_VERSION_3, 0), ctypes.create_string_buffer(24)
    if library.capget(header, held):
        raise OSError(ctypes.get_errno(), "capget failed")
    _, permitted, *_ = struct.unpack("6I", held.raw)
    kept = permitted & _CAP_SETFCAP if os.geteuid() == 0 else 0
    if library.capset(header, struct.pack("6I", kept, kept, 0, 0, 0, 0)):
        raise OSError(ctypes.get_errno(), "capset failed")


def can_work_as(user: int) -> bool:
    """Whether a user may run this Python and import what is installed. For a process without threads."""
    pid = os.fork()
    if pid == 0:
        reaches = False
        try:
            become(user)
            # The interpreter, and a file of the standard library as well as one of ours.
            reaches = os.access(sys.executable, os.X_OK) and all(
                os.access(one, os.R_OK) for one in (os.__file__, __file__)
            )
        finally:
            os._exit(0 if reaches else 1)
    _, status = os.waitpid(pid, 0)
    return status == 0


class Users:
    """Users without a name, one for each process at a time.

    So executions can't reach each other's processes and files. Only root can change to them: for anybody else there are
    none. Nor are there if such a user can't reach this Python, as with one that is installed below root's home.
    """

    def __init__(self) -> None:
        self._held: dict[int, socket.socket] = {}
        self._next = 0
        self._any = os.geteuid() == 0 and can_work_as(_FIRST_USER)

    def take(self) -> int | None:
        """A user that no other process of ours on this machine has; None if there are none."""
        if not self._any:
            return None
        for _ in range(_USERS):
            user = _FIRST_USER + self._next
            self._next = (self._next + 1) % _USERS
            if user not in self._held and (claim := _claimed(user)):
                self._held[user] = claim
                return user
        raise RuntimeError(f"all users from {_FIRST_USER} on are taken")

    def give_back(self, user: int) -> None:
        """Nothing of the user's runs any more."""
        self._held.pop(user).close()

    def close(self) -> None:
        """Give back all."""
        for user in list(self._held):
            self.give_back(user)


def _claimed(user: int) -> socket.socket | None:
    claim = socket.socket(socket.AF_UNIX)
    if sys.platform != "linux":
        return claim
    try:
        # A name in the abstract namespace is no file, and is gone with this process.
        claim.bind(f"\0agent-control-plane-user:{user}")
    except OSError:
        claim.close()
        return None
    return claim
