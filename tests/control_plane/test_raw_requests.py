"""Bytes that no HTTP client would send: each is refused cleanly, and the server goes on."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from urllib.parse import urlsplit

import pytest

from control_plane.embedded.postgres import DATABASE, Postgres
from control_plane.settings import Settings
from tests.conftest import TestDatabase, _created
from tests.orchestrator import FakeOrchestrator
from tests.serving import api_server
from tests.tenants import OPERATOR_KEY, Tenant, create_tenant

pytestmark = pytest.mark.integration

PROJECT = b'{"name": "Raw", "slug": "raw"}'


@pytest.fixture(scope="module")
def test_database(postgres: Postgres) -> Iterator[TestDatabase]:
    """One for all of these tests: what one request does to the server, the next would notice."""
    with _created(postgres, template=DATABASE) as created:
        yield created


@pytest.fixture(scope="module")
async def api_url(test_database: TestDatabase, _litellm: None) -> AsyncIterator[str]:
    """One server for all of these tests."""
    settings = Settings(database_url=test_database.url, secret_key="s" * 32, operator_key=OPERATOR_KEY, rate_limit=0)
    async with api_server(settings, FakeOrchestrator()) as url:
        yield url


@pytest.fixture(scope="module")
async def acme(api_url: str) -> AsyncIterator[Tenant]:
    """One organization for all of these tests."""
    async with create_tenant(api_url, "acme") as tenant:
        yield tenant


async def exchange(api_url: str, *pieces: bytes, hang_up: bool = False) -> bytes:
    """What the server answers before it closes the connection. With `hang_up` we send nothing more and say so."""
    address = urlsplit(api_url)
    async with asyncio.timeout(20):
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        try:
            writer.write(b"".join(pieces))
            if hang_up:
                writer.write_eof()
            return await reader.read()
        finally:
            writer.close()


def statuses(answer: bytes) -> list[int]:
    """The status of each answer on the connection."""
    return [int(line.split()[1]) for line in answer.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]


def post(tenant: Tenant, body: bytes, *headers: bytes, length: bytes | None = None) -> bytes:
    """A POST of a project, byte for byte. Without `length` the right one is declared."""
    declared = str(len(body)).encode() if length is None else length
    lines = [
        b"POST /api/v1/projects HTTP/1.1",
        b"Host: localhost",
        b"Connection: close",
        b"Authorization: Bearer " + tenant.api_key.encode(),
        b"Content-Type: application/json",
        *([b"Content-Length: " + declared] if declared else []),
        *headers,
    ]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


async def lives(tenant: Tenant) -> bool:
    """Whether the server still serves, and has stored nothing of what was sent to it."""
    response = await tenant.client.get("/projects")
    return [project["slug"] for project in response.json()] == ["shop"]


async def test_a_request_that_is_well_formed_reaches_the_route(acme: Tenant, api_url: str) -> None:
    answer = await exchange(api_url, post(acme, b'{"name": "Shop", "slug": "shop"}'))

    assert statuses(answer) == [409]


@pytest.mark.parametrize(
    "body",
    [
        b'{"name": "\xff\xfe", "slug": "raw"}',
        b'{"name": "\xc0\x80", "slug": "raw"}',
        b'{"name": "\xf5\x80\x80\x80", "slug": "raw"}',
        b'{"name": "\x00", "slug": "raw"}',
        b'{"name": "\\u0000", "slug": "raw"}',
        b'{"name": "\\ud800", "slug": "raw"}',
        b'{"name": 1e999999, "slug": "raw"}',
        b'{"name": ' + b"9" * 100_000 + b', "slug": "raw"}',
        b'{"name": 0.' + b"1" * 100_000 + b', "slug": "raw"}',
        b'{"name": NaN, "slug": "raw"}',
        b"[" * 10_000 + b"]" * 10_000,
        b'{"name":' * 10_000 + b"1" + b"}" * 10_000,
        b"[" * 500_000,
        b'{"name": "Raw", "slug": "raw", "slug": "raw"}',
        b'{"name": "' + b"n" * 500_000 + b'", "slug": "raw"}',
        b'{"name": "Raw", "slug": "' + b"a-" * 200_000 + b'"}',
        PROJECT + b"\x00",
        b"\x1f\x8b\x08\x00" + b"\x00" * 20,
        b"\x00" * 1_000,
        b"\xff" * 1_000,
    ],
)
async def test_a_body_that_can_not_be_used_is_refused(acme: Tenant, api_url: str, body: bytes) -> None:
    answer = await exchange(api_url, post(acme, body))

    assert statuses(answer)[0] in {400, 422}
    assert b"application/problem+json" in answer
    assert await lives(acme)


@pytest.mark.parametrize(
    "headers",
    [
        [b"Content-Length: 1"],
        [b"Transfer-Encoding: chunked"],
        [b"X-Odd\x00: 1"],
        [b"X-Odd: \x00"],
        [b"No colon at all"],
        [b": no name"],
        [b"X Odd: 1"],
        [b"X-\xff: 1"],
    ],
)
async def test_headers_that_http_does_not_allow_are_refused(acme: Tenant, api_url: str, headers: list[bytes]) -> None:
    answer = await exchange(api_url, post(acme, PROJECT, *headers))

    assert statuses(answer) == [400]
    assert await lives(acme)


@pytest.mark.parametrize(
    "header",
    [
        b"X-Long: " + b"x" * 70_000,
        b"Authorization: Bearer " + b"x" * 70_000,
        b"\r\n".join(b"X-%d: 1" % number for number in range(20_000)),
        b"Idempotency-Key: " + b"k" * 70_000,
    ],
)
async def test_headers_that_are_too_large_are_refused(acme: Tenant, api_url: str, header: bytes) -> None:
    answer = await exchange(api_url, post(acme, PROJECT, header))

    assert statuses(answer) == [431]
    assert b"application/problem+json" in answer
    assert await lives(acme)


@pytest.mark.parametrize(
    "header",
    [
        b"Authorization: Bearer \xff\xfe",
        b"Authorization: " + b"B" * 1_000,
        b"Authorization: Bearer",
        b"Authorization: Basic Og==",
        b"Authorization:",
    ],
)
async def test_a_credential_that_is_none_is_refused(acme: Tenant, api_url: str, header: bytes) -> None:
    request = post(acme, PROJECT).replace(b"Authorization: Bearer " + acme.api_key.encode(), header)

    answer = await exchange(api_url, request)

    assert statuses(answer) == [401]
    assert await lives(acme)


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        (b"text/plain", 415),
        (b"application/xml", 415),
        (b"multipart/form-data; boundary=x", 415),
        (b"\xff", 415),
        (b"application/json; charset=\xff", 422),
    ],
)
async def test_a_content_type_of_any_kind_is_no_fault_of_the_server(
    acme: Tenant, api_url: str, content_type: bytes, status: int
) -> None:
    request = post(acme, b"[]").replace(b"application/json", content_type)

    answer = await exchange(api_url, request)

    assert statuses(answer) == [status]
    assert await lives(acme)


@pytest.mark.parametrize("length", [b"-1", b"abc", b"1e3", b"0x10", b"9" * 30, b"+5", b"1 2", b"1,1"])
async def test_a_length_that_is_no_number_is_refused(acme: Tenant, api_url: str, length: bytes) -> None:
    answer = await exchange(api_url, post(acme, PROJECT, length=length))

    assert statuses(answer) == [400]
    assert await lives(acme)


async def test_a_body_shorter_than_it_declares_has_no_effect(acme: Tenant, api_url: str) -> None:
    answer = await exchange(api_url, post(acme, PROJECT, length=b"1000"), hang_up=True)

    assert [status for status in statuses(answer) if status < 400] == []
    assert await lives(acme)


async def test_a_body_longer_than_it_declares_is_read_as_declared(acme: Tenant, api_url: str) -> None:
    answer = await exchange(api_url, post(acme, PROJECT, length=b"5"))

    assert statuses(answer)[0] == 400
    assert await lives(acme)


@pytest.mark.parametrize(
    "chunks",
    [
        b"zz\r\n" + PROJECT + b"\r\n0\r\n\r\n",
        b"-1\r\n" + PROJECT + b"\r\n0\r\n\r\n",
        b"ffffffffffffffffff\r\n" + PROJECT,
        b"5\r\n" + PROJECT + b"\r\n0\r\n\r\n",
    ],
)
async def test_chunks_that_make_no_sense_are_refused(acme: Tenant, api_url: str, chunks: bytes) -> None:
    head = post(acme, b"", b"Transfer-Encoding: chunked", length=b"")

    answer = await exchange(api_url, head, chunks)

    assert statuses(answer) == [400]
    assert await lives(acme)


@pytest.mark.parametrize("chunks", [b"1e\r\n" + PROJECT, b"1e\r\n", b"", b"f" * 8 + b"\r\n" + PROJECT])
async def test_chunks_that_never_end_have_no_effect(acme: Tenant, api_url: str, chunks: bytes) -> None:
    head = post(acme, b"", b"Transfer-Encoding: chunked", length=b"")

    answer = await exchange(api_url, head, chunks, hang_up=True)

    assert [status for status in statuses(answer) if status < 400] == []
    assert await lives(acme)


@pytest.mark.parametrize(
    "line",
    [
        b"GET",
        b"GET /",
        b"GET / HTTP/9.9",
        b"G\x00T / HTTP/1.1",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"SSH-2.0-OpenSSH_9.2",
        b"\x00" * 100,
    ],
)
async def test_what_is_not_http_is_refused(acme: Tenant, api_url: str, line: bytes) -> None:
    answer = await exchange(api_url, line, b"\r\nHost: localhost\r\nConnection: close\r\n\r\n")

    assert [status for status in statuses(answer) if 400 <= status < 500] != []
    assert await lives(acme)


@pytest.mark.parametrize(
    "path",
    [
        b"/api/v1/agents/\xff",
        b"/api/v1/agents/%ff",
        b"/api/v1/agents/%00",
        b"/api/v1/agents/" + b"a" * 60_000,
        b"/api/v1/agents/../../etc/passwd",
        b"/api/v1/agents/%2e%2e%2f%2e%2e",
        b"/api/v1/agents?limit=" + b"9" * 10_000,
        b"/api/v1/agents?cursor=%ff%fe",
        b"/api/v1/agents?limit=1&limit=x",
        b"/api/v1/agents?name=%zz%00",
        b"//api/v1/agents",
        b"*",
    ],
)
async def test_a_path_of_any_kind_is_refused_cleanly(acme: Tenant, api_url: str, path: bytes) -> None:
    request = b"\r\n".join(
        [
            b"GET " + path + b" HTTP/1.1",
            b"Host: localhost",
            b"Connection: close",
            b"Authorization: Bearer " + acme.api_key.encode(),
        ]
    )

    answer = await exchange(api_url, request, b"\r\n\r\n")

    assert [status for status in statuses(answer) if 400 <= status < 500] != []
    assert await lives(acme)
