import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from control_plane.settings import Settings
from tests.conftest import TestDatabase
from tests.orchestrator import FakeOrchestrator
from tests.serving import api_server
from tests.tenants import Tenant, client

pytestmark = pytest.mark.integration

BURST = 5
RATE = 0.001
"""So slow that no token comes back while a test runs."""


@pytest.fixture
async def limited_url(settings: Settings, acme: Tenant) -> AsyncIterator[str]:
    """A server that lets few requests through, on the database of `acme`."""
    limited = settings.model_copy(update={"rate_limit": RATE, "rate_limit_burst": BURST})
    async with api_server(limited, FakeOrchestrator()) as url:
        yield url


@pytest.fixture
async def caller(limited_url: str, acme: Tenant) -> AsyncIterator[httpx.AsyncClient]:
    """A member of `acme` at the limited server."""
    async with client(limited_url, acme.api_key) as limited:
        yield limited


async def statuses(caller: httpx.AsyncClient, count: int, path: str = "/agents") -> list[int]:
    return [(await caller.get(path)).status_code for _ in range(count)]


async def test_a_credential_may_send_as_much_as_the_burst_and_then_waits(caller: httpx.AsyncClient) -> None:
    answered = await statuses(caller, BURST + 2)

    assert answered == [200] * BURST + [429] * 2


async def test_the_refusal_is_a_problem_that_says_when_to_come_back(caller: httpx.AsyncClient) -> None:
    await statuses(caller, BURST)

    response = await caller.get("/agents")

    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json()["code"] == "too_many_requests"
    assert response.json()["request_id"] == response.headers["X-Request-Id"]
    assert 990 <= int(response.headers["Retry-After"]) <= 1000
    assert response.headers["RateLimit"] == f'"credential";r=0;t={response.headers["Retry-After"]}'


async def test_every_answer_says_what_the_credential_has_left(caller: httpx.AsyncClient) -> None:
    first, second, missing = [await caller.get(path) for path in ("/agents", "/agents", "/no-such-thing")]

    assert first.headers["RateLimit-Policy"] == f'"credential";q={BURST};w=5000'
    assert [answer.headers["RateLimit"] for answer in (first, second, missing)] == [
        '"credential";r=4;t=0',
        '"credential";r=3;t=0',
        '"credential";r=2;t=0',
    ]


async def test_another_credential_has_a_limit_of_its_own(
    caller: httpx.AsyncClient, globex: Tenant, limited_url: str
) -> None:
    await statuses(caller, BURST + 1)

    async with client(limited_url, globex.api_key) as other:
        answered = await statuses(other, BURST + 1)

    assert answered == [200] * BURST + [429]


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "Bearer "])
async def test_a_credential_written_in_another_way_is_the_same_credential(
    caller: httpx.AsyncClient, acme: Tenant, scheme: str
) -> None:
    await statuses(caller, BURST)

    response = await caller.get("/agents", headers={"Authorization": f"{scheme} {acme.api_key}"})

    assert response.status_code == 429


async def test_many_requests_at_once_are_counted_one_by_one(caller: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*(caller.get("/agents") for _ in range(20)))

    assert sorted(answer.status_code for answer in answers) == [200] * BURST + [429] * (20 - BURST)


async def test_a_refused_request_has_no_effect(caller: httpx.AsyncClient, acme: Tenant) -> None:
    await statuses(caller, BURST)

    refused = await caller.post("/projects", json={"name": "Second", "slug": "second"})

    assert refused.status_code == 429
    assert (await acme.client.get("/projects", params={"slug": "second"})).json() == []


async def test_bad_credentials_of_one_address_are_limited_however_many_there_are(limited_url: str) -> None:
    async with httpx.AsyncClient(base_url=f"{limited_url}/api/v1", trust_env=False) as stranger:
        answers = [
            await stranger.get("/agents", headers={"Authorization": f"Bearer cp_key_{number}"})
            for number in range(BURST + 2)
        ]

    assert [answer.status_code for answer in answers] == [401] * BURST + [429] * 2
    assert int(answers[-1].headers["Retry-After"]) > 0
    assert answers[-1].json()["code"] == "too_many_requests"


async def test_requests_without_a_credential_are_limited_by_their_address(limited_url: str) -> None:
    async with httpx.AsyncClient(base_url=f"{limited_url}/api/v1", trust_env=False) as stranger:
        answered = await statuses(stranger, BURST + 1)

    assert answered == [401] * BURST + [429]


async def test_a_valid_credential_is_served_from_an_address_that_sends_bad_ones(
    caller: httpx.AsyncClient, limited_url: str
) -> None:
    async with httpx.AsyncClient(base_url=f"{limited_url}/api/v1", trust_env=False) as stranger:
        await statuses(stranger, BURST + 1)

    assert await statuses(caller, 1) == [200]


async def test_a_worker_is_not_limited(limited_url: str, acme: Tenant) -> None:
    async with client(limited_url, acme.worker_key) as worker:
        answered = await statuses(worker, BURST + 3)

    assert answered == [403] * (BURST + 3)


async def test_what_calls_itself_a_worker_and_is_none_is_limited(limited_url: str) -> None:
    async with client(limited_url, "cp_worker_made-up") as stranger:
        answered = await statuses(stranger, BURST + 1)

    assert answered == [401] * BURST + [429]


@pytest.mark.parametrize("path", ["/health", "/ready", "/openapi.json"])
async def test_what_anybody_may_ask_is_not_limited(caller: httpx.AsyncClient, limited_url: str, path: str) -> None:
    answered = await statuses(caller, BURST + 3, f"{limited_url}{path}")

    assert answered == [200] * (BURST + 3)


async def test_an_event_stream_counts_when_it_is_opened_and_not_while_it_is_read(
    caller: httpx.AsyncClient, acme: Tenant
) -> None:
    execution = await acme.start()
    await acme.client.delete(f"/executions/{execution['id']}")

    stream = await caller.get(f"/executions/{execution['id']}/stream")

    assert stream.headers["RateLimit"] == f'"credential";r={BURST - 1};t=0'
    assert "event: done" in stream.text


async def test_zero_means_no_limit_and_no_header(acme: Tenant) -> None:
    response = await acme.client.get("/agents")

    assert "RateLimit" not in response.headers


def test_a_server_that_is_told_nothing_has_a_limit(test_database: TestDatabase) -> None:
    settings = Settings(database_url=test_database.url, secret_key="a-secret-key-of-the-tests-0123456789")

    assert settings.rate_limit > 0


async def test_an_address_that_signs_in_without_end_waits(limited_url: str) -> None:
    async with httpx.AsyncClient(base_url=limited_url, trust_env=False) as http:
        answers = [await http.get("/auth/callback?state=x&code=y") for _ in range(BURST + 1)]
        health = await http.get("/health")

    assert [answer.status_code for answer in answers] == [400] * BURST + [429]
    assert int(answers[-1].headers["Retry-After"]) > 0
    assert health.status_code == 200


async def test_a_browser_session_is_a_credential_with_a_bucket_of_its_own(limited_url: str, acme: Tenant) -> None:
    form = {"api_key": acme.api_key}
    async with httpx.AsyncClient(base_url=limited_url, trust_env=False) as http:
        await http.post("/auth/sign-in", data=form, headers={"Origin": "http://127.0.0.1:7777"})
        answered = await statuses(http, BURST + 1, "/api/v1/agents")

    assert answered == [200] * BURST + [429]
