"""Which network addresses a tool may connect to, so that nobody reaches into the worker's own network through it.

A name is resolved once, each of its addresses is judged, and the connection goes to one that was judged: a name whose
answer changes in between leads nowhere.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from toolsets.failures import Retryable, ToolFailed

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]

_SPECIAL = (
    ip_network("168.63.129.16/32"),  # Azure's host and metadata, at an address that looks public
    ip_network("192.0.0.0/24"),  # Oracle's metadata among others; newer Pythons know that it isn't public
    ip_network("fec0::/10"),  # site-local: private under its old name
)
_TUNNELS = (
    (ip_network("64:ff9b::/96"), 0),  # NAT64
    (ip_network("64:ff9b:1::/48"), 0),
    (ip_network("2002::/16"), 80),  # 6to4
    (ip_network("::/96"), 0),  # IPv4-compatible
    (ip_network("::ffff:0:0:0/96"), 0),  # IPv4-translated
)
"""IPv6 addresses that hold one of IPv4, and how many bits from the right it is."""

_RESOLUTION_SECONDS = 10


class AddressRefused(ToolFailed):
    """A host whose address tools may not connect to."""


async def system_resolver(host: str, port: int) -> Sequence[str]:
    """The addresses of a host as this machine resolves it, which understands numbers in every spelling."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


async def checked_addresses(
    host: str, port: int, *, allowed: Sequence[Network] = (), resolve: Resolve | None = None
) -> Sequence[str]:
    """The addresses of a host, all of which are public or in one of the networks that are `allowed`.

    Raises `AddressRefused` if any isn't, and `Retryable` if the host can't be found.
    """
    try:
        async with asyncio.timeout(_RESOLUTION_SECONDS):
            found = await (resolve or system_resolver)(host, port)
    except (OSError, UnicodeError, TimeoutError) as error:
        raise Retryable(f"The host {host} can't be found. Check how it is spelled.") from error
    if not found:
        raise Retryable(f"The host {host} has no address.")
    for address in found:
        if not may_be_reached(address, allowed=allowed):
            raise AddressRefused(
                f"{host} has the address {address}, which isn't on the public internet, and this environment doesn't"
                " let tools connect there. Use another host."
            )
    return found


def may_be_reached(address: str, *, allowed: Sequence[Network] = ()) -> bool:
    """Whether an address is public, or in a network that is allowed."""
    try:
        meant = _meant(ip_address(address.partition("%")[0]))
    except ValueError:
        return False
    if any(meant.version == network.version and meant in network for network in allowed):
        return True
    special = any(meant.version == network.version and meant in network for network in _SPECIAL)
    return meant.is_global and not (special or meant.is_multicast or meant.is_reserved or meant.is_unspecified)


def _meant(address: Address) -> Address:
    """The address of IPv4 that one of IPv6 stands for, if it does."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped:
        return address.ipv4_mapped
    for network, shift in _TUNNELS:
        if address in network and int(address) > 1:
            return IPv4Address(int(address) >> shift & 0xFFFFFFFF)
    return address
