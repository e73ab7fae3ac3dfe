from collections.abc import Sequence
from ipaddress import ip_network

import pytest
from pydantic import TypeAdapter, ValidationError

from toolsets import Retryable
from toolsets.builtin.addresses import AddressRefused, checked_addresses, may_be_reached
from toolsets.builtin.hosts import HostPattern, is_listed

pytestmark = pytest.mark.unit

NOT_PUBLIC = [
    "127.0.0.1",
    "127.255.255.254",
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "192.0.0.192",
    "192.168.1.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:0:10.0.0.1",
    "64:ff9b::169.254.169.254",
    "64:ff9b::7f00:1",
    "64:ff9b:1::a00:1",
    "2002:a9fe:a9fe::1",
    "2002:7f00:1::",
    "2001::1",
    "2001:db8::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "not an address",
    "",
]


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_an_address_that_is_not_public_is_not_reached(address: str) -> None:
    assert not may_be_reached(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"])
def test_a_public_address_is_reached(address: str) -> None:
    assert may_be_reached(address)


@pytest.mark.parametrize("address", ["10.1.2.3", "::ffff:10.1.2.3", "64:ff9b::10.1.2.3", "fd12::1"])
def test_an_allowed_network_is_reached_however_its_addresses_are_written(address: str) -> None:
    allowed = [ip_network("10.1.0.0/16"), ip_network("fd12::/16")]

    assert may_be_reached(address, allowed=allowed)
    assert not may_be_reached("10.2.0.1", allowed=allowed)
    assert not may_be_reached("169.254.169.254", allowed=allowed)


@pytest.mark.parametrize(
    "host",
    [
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "127.1",
        "0",
        "localhost",
        "127.0.0.1",
        "::1",
        "::ffff:7f00:1",
    ],
)
async def test_loopback_is_refused_in_every_spelling(host: str) -> None:
    with pytest.raises(AddressRefused, match="isn't on the public internet"):
        await checked_addresses(host, 80)


async def test_one_address_that_is_refused_refuses_the_host() -> None:
    async def resolve(host: str, port: int) -> Sequence[str]:
        return ["1.1.1.1", "10.0.0.1"]

    with pytest.raises(AddressRefused, match=r"mixed\.test has the address 10\.0\.0\.1"):
        await checked_addresses("mixed.test", 80, resolve=resolve)


@pytest.mark.parametrize("host", ["nothing.invalid", "a" * 64 + ".test", "a..b"])
async def test_a_host_that_is_not_found_may_be_tried_again(host: str) -> None:
    with pytest.raises(Retryable, match="can't be found"):
        await checked_addresses(host, 80)


@pytest.mark.parametrize(
    ("host", "port", "pattern"),
    [
        ("example.com", 443, "example.com"),
        ("EXAMPLE.com.", 443, "Example.com"),
        ("api.example.com", 443, "*.example.com"),
        ("a.b.example.com", 8443, "*.example.com"),
        ("example.com", 8443, "example.com:8443"),
        ("::1", 443, "[::1]"),
        ("::1", 8443, "[::1]:8443"),
    ],
)
def test_a_host_is_on_a_list(host: str, port: int, pattern: str) -> None:
    assert is_listed(host, port, [TypeAdapter(HostPattern).validate_python(pattern)])


@pytest.mark.parametrize(
    ("host", "port", "pattern"),
    [
        ("example.com", 443, "*.example.com"),
        ("evilexample.com", 443, "*.example.com"),
        ("evilexample.com", 443, "example.com"),
        ("example.com.evil.org", 443, "example.com"),
        ("example.com", 443, "example.com:8443"),
        ("api.example.com", 443, "example.com"),
        ("2130706433", 443, "127.0.0.1"),
    ],
)
def test_a_host_is_not_on_a_list(host: str, port: int, pattern: str) -> None:
    assert not is_listed(host, port, [pattern])


@pytest.mark.parametrize(
    "pattern", ["https://example.com", "example.com/path", "*", "*.", "a*b.com", "", "a b", "x:1:2"]
)
def test_what_is_no_host_is_refused_in_settings(pattern: str) -> None:
    with pytest.raises(ValidationError, match="must be a host"):
        TypeAdapter(HostPattern).validate_python(pattern)
