"""Lists of hosts in the settings of toolsets, and whether a host is on one."""

import re
from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator

_PATTERN = re.compile(r"(\*\.)?([a-z0-9_-]+(\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])(:[0-9]{1,5})?")


def normal(host: str) -> str:
    """A host as it is compared: `Example.com.` is `example.com`."""
    return host.lower().rstrip(".")


def _checked(pattern: str) -> str:
    pattern = normal(pattern)
    if not _PATTERN.fullmatch(pattern):
        raise ValueError("must be a host such as example.com, *.example.com or example.com:8443, without https://")
    return pattern


HostPattern = Annotated[str, AfterValidator(_checked)]
"""`example.com`, `*.example.com` for all below it, and either with `:8443` for one port only."""


def is_listed(host: str, port: int, patterns: Sequence[str]) -> bool:
    """Whether a host is on a list. `host` is an address of IPv6 without its brackets, or a name in ASCII."""
    host = normal(host)
    written = f"[{host}]" if ":" in host else host
    return any(_fits(written, port, pattern) for pattern in patterns)


def _fits(host: str, port: int, pattern: str) -> bool:
    name, separator, wanted = pattern.rpartition(":") if re.search(r":[0-9]+$", pattern) else (pattern, "", "")
    if separator and wanted != str(port):
        return False
    if name.startswith("*."):
        return host.endswith(name[1:]) and len(host) > len(name) - 1
    return host == name
