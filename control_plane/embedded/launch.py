"""Starts one program that dies with its parent and, if asked, runs as another user. A file to be executed.

    python -I -S launch.py PARENT SIGNAL USER COMMAND [ARGUMENT…]

SIGNAL is sent to the program when PARENT, the process that started it, is gone. USER is a numeric user id, or `-` to
stay who we are. PostgreSQL refuses to run as root; as another user it may be unable to reach a data folder below a
private one, so in that case it keeps the one capability that lets it pass.
"""

import ctypes
import os
import pwd
import signal
import struct
import sys

_PR_SET_PDEATHSIG = 1
_PR_SET_KEEPCAPS = 8
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_CAP_DAC_OVERRIDE = 1
_CAP_DAC_READ_SEARCH = 2
_CAPABILITY_VERSION_3 = 0x20080522


def main() -> None:
    """Prepare, then become the program."""
    parent, death_signal, user, *command = sys.argv[1:]
    if user != "-":
        become(int(user), passing=sys.platform == "linux")
    if sys.platform == "linux":
        _prctl(_PR_SET_PDEATHSIG, getattr(signal, death_signal))
        if os.getppid() != int(parent):
            sys.exit("the parent is gone already")
    os.execv(command[0], command)  # noqa: S606 - that is what this file is for


def become(user: int, *, passing: bool) -> None:
    """Change to a user, keeping the right to pass folders that only root can enter if `passing`."""
    kept = _held(_CAP_DAC_READ_SEARCH) or _held(_CAP_DAC_OVERRIDE) if passing else None
    if kept is not None:
        _prctl(_PR_SET_KEEPCAPS, 1)
    os.setgroups([])
    os.setgid(pwd.getpwuid(user).pw_gid)
    os.setuid(user)
    if kept is not None:
        mask = 1 << kept
        header = struct.pack("Ii", _CAPABILITY_VERSION_3, 0)
        data = struct.pack("6I", mask, mask, mask, 0, 0, 0)
        if ctypes.CDLL(None, use_errno=True).capset(header, data) != 0:
            raise OSError(ctypes.get_errno(), "capset failed")
        _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, kept)


def _held(capability: int) -> int | None:
    with open("/proc/self/status") as status:  # noqa: PTH123 - pathlib would cost more than the rest of this file
        effective = next(int(line.split()[1], 16) for line in status if line.startswith("CapEff:"))
    return capability if effective >> capability & 1 else None


def _prctl(option: int, *arguments: int) -> None:
    padded = [ctypes.c_ulong(argument) for argument in (*arguments, 0, 0, 0, 0)[:4]]
    if ctypes.CDLL(None, use_errno=True).prctl(option, *padded) != 0:
        raise OSError(ctypes.get_errno(), f"prctl {option} failed")


if __name__ == "__main__":
    main()
