"""Who signed in and out in a browser stands in the audit log; who tried in vain, in the log of the server."""

from typing import Any

import pytest

from control_plane.settings import Settings
from tests.conftest import TestDatabase
from tests.control_plane.auth.browser import SESSION, Browser
from tests.control_plane.auth.provider import Provider
from tests.tenants import Tenant, created

pytestmark = pytest.mark.integration

STRANGE_KEY = "cp_key_canary-7d20b1"


@pytest.fixture
def settings(settings: Settings, provider: Provider) -> Settings:
    """Settings of a server where people sign in with the provider."""
    return settings.model_copy(update={"oidc_issuers": (provider.settings,)})


async def invite(tenant: Tenant, provider: Provider, name: str = "Ada") -> str:
    """Make the provider's person a member; the id."""
    body = {"name": name, "issuer": provider.url, "subject": "ada", "grants": [{"role": "viewer"}]}
    member: str = (await created(tenant.client, f"/organizations/{tenant.organization['id']}/members", body))["id"]
    return member


async def entries(tenant: Tenant) -> list[dict[str, Any]]:
    """What a tenant's log says of signing in and out, newest first."""
    response = await tenant.client.get(f"/organizations/{tenant.organization['id']}/audit-log", params={"limit": 200})
    return [entry for entry in response.raise_for_status().json() if entry["action"].startswith("auth:")]


async def test_an_entry_says_who_signed_in_where_from_where_by_which_request(
    acme: Tenant, browser: Browser, provider: Provider
) -> None:
    member_id = await invite(acme, provider)

    answer = await browser.sign_in(provider.url)

    (entry,) = await entries(acme)
    assert entry == {
        "id": entry["id"],
        "created_at": entry["created_at"],
        "organization_id": acme.organization["id"],
        "actor": "member:Ada",
        "credential_id": None,
        "member_id": member_id,
        "action": "auth:sign-in",
        "method": "GET",
        "route": "/auth/callback",
        "resource_type": "identity-providers",
        "resource_id": provider.url,
        "request_id": answer.headers["X-Request-Id"],
        "client_address": "127.0.0.1",
        "status": answer.status_code,
    }


async def test_each_organization_of_a_person_has_an_entry_of_its_own_and_no_other_has(
    acme: Tenant, globex: Tenant, browser: Browser, provider: Provider
) -> None:
    ids = [await invite(acme, provider), await invite(globex, provider, "Countess")]
    await browser.sign_in(provider.url)
    await globex.client.delete(f"/organizations/{globex.organization['id']}/members/{ids[1]}")
    await browser.sign_in(provider.url)

    of_acme, of_globex = await entries(acme), await entries(globex)

    assert [(entry["actor"], entry["member_id"]) for entry in of_acme] == [("member:Ada", ids[0])] * 2
    assert [(entry["actor"], entry["member_id"]) for entry in of_globex] == [("member:Countess", ids[1])]


async def test_who_accepts_an_invitation_by_signing_in_is_a_member_by_then(
    acme: Tenant, browser: Browser, provider: Provider
) -> None:
    body = {"name": "Ada", "email": "ada@example.com", "grants": [{"role": "viewer"}]}
    await created(acme.client, f"/organizations/{acme.organization['id']}/members", body)

    await browser.sign_in(provider.url)

    assert [(entry["actor"], entry["action"]) for entry in await entries(acme)] == [("member:Ada", "auth:sign-in")]


async def test_a_sign_in_with_a_key_names_the_key(acme: Tenant, browser: Browser) -> None:
    keys = await acme.client.get(f"/organizations/{acme.organization['id']}/api-keys")

    await browser.enter_key(acme.api_key)

    (entry,) = await entries(acme)
    (key_id,) = [key["id"] for key in keys.json()]
    assert [entry["actor"], entry["credential_id"], entry["member_id"]] == ["api_key:tests", key_id, None]
    assert [entry["method"], entry["route"]] == ["POST", "/auth/sign-in"]
    assert [entry["resource_type"], entry["resource_id"]] == ["api-keys", key_id]


async def test_signing_out_leaves_one_entry_however_often_it_is_done(
    acme: Tenant, browser: Browser, provider: Provider
) -> None:
    await invite(acme, provider)
    await browser.sign_in(provider.url)
    token = browser.http.cookies[SESSION]

    await browser.sign_out()
    await browser.http.post("/auth/sign-out", headers={"Sec-Fetch-Site": "same-origin", "Cookie": f"{SESSION}={token}"})

    (entry, _) = await entries(acme)
    assert [entry["action"], entry["actor"], entry["route"]] == ["auth:sign-out", "member:Ada", "/auth/sign-out"]
    assert entry["resource_id"] == provider.url


async def test_the_end_of_a_session_whose_time_is_over_is_no_sign_out(
    acme: Tenant, browser: Browser, test_database: TestDatabase
) -> None:
    await browser.enter_key(acme.api_key)
    await test_database.change("UPDATE browser_sessions SET expires_at = now()")

    await browser.sign_out()

    assert [entry["action"] for entry in await entries(acme)] == ["auth:sign-in"]


async def test_nobody_is_signed_in_or_out_whose_entry_can_not_be_written(
    acme: Tenant, browser: Browser, test_database: TestDatabase
) -> None:
    await browser.enter_key(acme.api_key)
    await test_database.change("REVOKE INSERT ON audit_log FROM control_plane_app")

    signed_out = await browser.sign_out()
    signed_in = await browser.enter_key(acme.api_key)

    assert [signed_out.status_code, signed_in.status_code] == [500, 500]
    assert "Set-Cookie" not in signed_in.headers
    assert (await browser.agents()).status_code == 200


async def test_a_failed_sign_in_with_a_key_stands_in_the_log_of_the_server_without_the_key(
    acme: Tenant, browser: Browser, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await browser.enter_key(STRANGE_KEY)

    (line,) = [record.getMessage() for record in caplog.records if record.name.endswith("sign_in_router")]
    assert line == (
        "POST /auth/sign-in from 127.0.0.1 refused: This is no API key that counts. It may have expired or been"
        f" revoked. Request {answer.headers['X-Request-Id']}"
    )
    assert STRANGE_KEY not in caplog.text
    assert await entries(acme) == []


async def test_a_failed_sign_in_at_a_provider_stands_in_the_log_of_the_server_without_code_and_token(
    acme: Tenant, browser: Browser, provider: Provider, caplog: pytest.LogCaptureFixture
) -> None:
    await invite(acme, provider)
    provider.id_token = {"aud": "somebody-else"}

    await browser.sign_in(provider.url)

    (line,) = [record.getMessage() for record in caplog.records if record.name.endswith("sign_in_router")]
    assert line.startswith("GET /auth/callback from 127.0.0.1 refused: The token is refused. Its claim aud")
    assert "eyJ" not in caplog.text
    assert "code-" not in line
    assert await entries(acme) == []


async def test_somebody_who_is_a_member_of_nothing_stands_in_the_log_of_the_server(
    acme: Tenant, browser: Browser, provider: Provider, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await browser.sign_in(provider.url)

    request_id = answer.headers["X-Request-Id"]
    assert f"auth:sign-in by {provider.url} in no organization, request {request_id}" in caplog.messages
    assert await entries(acme) == []
