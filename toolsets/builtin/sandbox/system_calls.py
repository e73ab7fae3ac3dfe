"""System calls that no program in the sandbox may make: a filter for the kernel, in its own small language.

Namespaces don't hold these: keys of the user's session, which other programs keep credentials in, and parts of the
kernel that ordinary programs do without and holes are found in. They fail as if the kernel didn't have them.
"""

import errno
import platform
import struct

_LOAD, _JUMP_IF_EQUAL, _JUMP_IF_AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _FAIL = 0x7FFF0000, 0x00050000 | errno.ENOSYS
_NUMBER, _ARCHITECTURE = 0, 4
"""Where the kernel puts them."""

_X32 = 0x40000000
"""From here on numbers are those of x86's second way to make the same calls."""

_REFUSED = {
    # The kernel's name of the architecture, and the numbers of: add_key request_key keyctl, bpf, perf_event_open,
    # userfaultfd, io_uring_setup io_uring_enter io_uring_register, init_module finit_module delete_module, kexec_load
    # kexec_file_load, open_by_handle_at, quotactl
    "x86_64": (0xC000003E, (248, 249, 250, 321, 298, 323, 425, 426, 427, 175, 313, 176, 246, 320, 304, 179)),
    "aarch64": (0xC00000B7, (217, 218, 219, 280, 241, 282, 425, 426, 427, 105, 273, 106, 104, 294, 265, 60)),
}


def system_call_filter(machine: str | None = None) -> bytes:
    """The filter for a machine, by default this one; empty where we don't know the numbers of its calls."""
    known = _REFUSED.get(machine or platform.machine())
    if known is None:
        return b""
    architecture, numbers = known
    program = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        # Another architecture has other numbers, so its programs can't run.
        (_JUMP_IF_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _FAIL),
        (_LOAD, 0, 0, _NUMBER),
        # Jumps count from the next instruction; all of these lead to the last one.
        (_JUMP_IF_AT_LEAST, len(numbers) + 1, 0, _X32),
        *((_JUMP_IF_EQUAL, len(numbers) - index, 0, number) for index, number in enumerate(numbers)),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _FAIL),
    ]
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)
