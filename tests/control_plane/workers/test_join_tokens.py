import asyncio
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.clock import five_seconds_later
from tests.conftest import TestDatabase
from tests.tenants import JOINING, Tenant, client, created
from tests.worker import join, joined

pytestmark = pytest.mark.integration


@pytest.fixture
def tokens(acme: Tenant) -> str:
    """The path of the environment's join tokens."""
    return f"/environments/{acme.environment['id']}/join-tokens"


@pytest.fixture
async def token(acme: Tenant, tokens: str) -> dict[str, Any]:
    """A join token that nobody has used."""
    return await created(acme.client, tokens, {"name": "burst"})


async def test_a_join_token_is_shown_once(acme: Tenant, tokens: str, token: dict[str, Any]) -> None:
    response = await acme.client.get(tokens)

    (found,) = response.json()
    assert token["token"].startswith("cpj_")
    assert token["token"] not in response.text
    assert found.items() >= {"name": "burst", "redeemed_at": None, "hint": token["token"][-4:]}.items()


async def test_a_join_token_lets_one_worker_in(acme: Tenant, api_url: str, pool: str, token: dict[str, Any]) -> None:
    first = await join(api_url, token["token"], pool)
    second = await join(api_url, token["token"], pool)

    assert [first.status_code, second.status_code] == [201, 409]
    assert second.json()["code"] == "join_token_used"


@pytest.mark.timeout(300)
async def test_of_a_thousand_that_redeem_a_token_at_once_exactly_one_succeeds(
    acme: Tenant, api_url: str, pool: str, token: dict[str, Any]
) -> None:
    limits = httpx.Limits(max_connections=32)  # twice as many as the server has to the database
    headers = {"Authorization": f"Bearer {token['token']}"}
    async with httpx.AsyncClient(limits=limits, timeout=None, trust_env=False, headers=headers) as http:
        answers = await asyncio.gather(
            *(http.post(f"{api_url}/api/v1/{pool}/start", json=JOINING) for _ in range(1000))
        )

    workers = (await acme.client.get("/workers")).json()
    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: 999}
    assert [worker["joined_with"] for worker in workers] == ["join_token:burst", "worker_key:worker-1"]


async def test_a_worker_that_joined_with_a_token_renews_with_it_for_a_day(
    acme: Tenant, api_url: str, pool: str, tokens: str, token: dict[str, Any]
) -> None:
    session = await joined(api_url, token["token"], pool)

    async with client(api_url, token["token"]) as http:
        renewal = await http.post(f"/worker-sessions/{session['session_id']}/renew")

    used = (await acme.client.get(f"{tokens}/{token['id']}")).json()
    stay = datetime.fromisoformat(used["expires_at"]) - datetime.fromisoformat(used["redeemed_at"])
    assert renewal.status_code == 200
    assert stay == timedelta(hours=24)


async def test_a_token_that_nobody_redeemed_in_time_is_refused(
    acme: Tenant, api_url: str, pool: str, token: dict[str, Any], test_database: TestDatabase
) -> None:
    await test_database.change("UPDATE credentials SET expires_at = now() WHERE kind = 'join_token'")

    response = await join(api_url, token["token"], pool)

    assert response.status_code == 401


async def test_a_join_that_is_refused_leaves_the_token_unused(
    acme: Tenant, api_url: str, pool: str, token: dict[str, Any]
) -> None:
    await acme.client.patch(f"/environments/{acme.environment['id']}", json={"max_workers": 1})
    refused = await join(api_url, token["token"], pool)
    await acme.client.patch(f"/environments/{acme.environment['id']}", json={"max_workers": None})

    response = await join(api_url, token["token"], pool)

    assert [refused.status_code, response.status_code] == [409, 201]


@pytest.mark.parametrize("seconds", [0, 86_401])
async def test_a_token_can_be_redeemed_for_a_day_at_most(acme: Tenant, tokens: str, seconds: int) -> None:
    response = await acme.client.post(tokens, json={"name": "burst", "expires_in_seconds": seconds})

    assert response.status_code == 422


async def test_revoking_a_token_ends_the_session_of_who_joined_with_it(
    acme: Tenant, api_url: str, pool: str, tokens: str, token: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    session = await joined(api_url, token["token"], pool)
    async with client(api_url, session["session_token"]) as worker:
        before = await worker.post("/worker-sessions/current/heartbeat", json={})
        await acme.client.delete(f"{tokens}/{token['id']}")
        five_seconds_later(monkeypatch)

        after = await worker.post("/worker-sessions/current/heartbeat", json={})

    assert [before.status_code, after.status_code] == [200, 401]


async def test_a_join_token_opens_nothing_but_its_environment(
    acme: Tenant, globex: Tenant, api_url: str, token: dict[str, Any]
) -> None:
    foreign = await join(api_url, token["token"], f"work-pools/{globex.environment['work_pool']}")
    async with client(api_url, token["token"]) as http:
        read = await http.get("/environments")

    assert [foreign.status_code, read.status_code] == [404, 403]
