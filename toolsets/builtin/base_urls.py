"""The setting that says where a service is, when it isn't where it is for everybody."""

import ipaddress
from collections.abc import Callable, Sequence
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator

from toolsets.builtin.addresses import Network, may_be_reached


def _checked(url: str) -> str:
    try:
        parts = urlsplit(url)
        usable = bool(parts.hostname) and parts.port != 0 and not (parts.username or parts.query or parts.fragment)
    except ValueError:
        usable = False
    if not usable or not (
        parts.scheme == "https" or (parts.scheme == "http" and is_this_machine(parts.hostname or ""))
    ):
        raise ValueError("must be an https:// address without user, query and fragment (http:// on this machine only)")
    return url.rstrip("/")


BaseUrl = Annotated[str, AfterValidator(_checked)]
"""Credentials are sent there, so it takes TLS, except to a server on the same machine."""


def is_this_machine(host: str) -> bool:
    """Whether a host is plainly the machine that asks."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def permitted(allowed: Sequence[Network]) -> Callable[[str], None]:
    """What raises `OSError` for an address that is neither public nor in one of these networks."""

    def check(address: str) -> None:
        if not may_be_reached(address, allowed=allowed):
            raise OSError(f"{address} isn't on the public internet, and the setting allowed_networks doesn't permit it")

    return check
