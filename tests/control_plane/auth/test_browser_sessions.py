"""What a signed-in browser may do at the API, what it may not, and when it ends."""

from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import text

from control_plane.auth import browser_sessions
from control_plane.db import Database
from control_plane.settings import Settings
from tests.conftest import TestDatabase
from tests.control_plane.auth.browser import ORIGIN, SESSION, Browser, opened_browser
from tests.control_plane.auth.provider import Provider
from tests.orchestrator import FakeOrchestrator
from tests.serving import api_server
from tests.tenants import OPERATOR_KEY, Tenant, client, created

pytestmark = pytest.mark.integration

PROJECT = {"name": "Mine", "slug": "mine"}


@pytest.fixture
def settings(settings: Settings, provider: Provider) -> Settings:
    """Settings of a server where people sign in with the provider."""
    return settings.model_copy(update={"oidc_issuers": (provider.settings,)})


async def invite(tenant: Tenant, provider: Provider, role: str = "admin") -> str:
    """The path of Ada as a member."""
    path = f"/organizations/{tenant.organization['id']}/members"
    body = {"name": "Ada", "issuer": provider.url, "subject": "ada", "grants": [{"role": role}]}
    return f"{path}/{(await created(tenant.client, path, body))['id']}"


@pytest.fixture
async def ada(acme: Tenant, browser: Browser, provider: Provider) -> Browser:
    """The browser of an admin of `acme`, signed in at the provider."""
    await invite(acme, provider)
    await browser.sign_in(provider.url)
    return browser


@pytest.fixture
async def with_key(acme: Tenant, browser: Browser) -> Browser:
    """A browser that is signed in with the API key of `acme`."""
    await browser.enter_key(acme.api_key)
    return browser


@pytest.fixture
async def elsewhere(settings: Settings, ada: Browser) -> AsyncIterator[Browser]:
    """Ada's browser, as another process of the same control plane serves it."""
    async with api_server(settings, FakeOrchestrator()) as url, opened_browser(url) as other:
        other.http.cookies.set(SESSION, ada.http.cookies[SESSION])
        yield other


async def test_a_key_signs_a_browser_in_and_may_do_there_what_it_may_do_elsewhere(
    acme: Tenant, browser: Browser
) -> None:
    answer = await browser.enter_key(f"  {acme.api_key}\n", return_to="/api/docs")

    agents = await browser.agents()

    assert answer.headers["Location"] == "/api/docs"
    assert [agent["id"] for agent in agents.json()] == [acme.agent["id"]]


@pytest.mark.parametrize("key", ["", "cp_key_unknown", OPERATOR_KEY, "a.b.c", "cp_key_\u00e4"])
async def test_what_is_no_api_key_signs_no_browser_in(browser: Browser, key: str) -> None:
    page = await browser.enter_key(key)

    assert page.status_code == 403
    assert "no API key that counts" in page.text
    assert SESSION not in browser.http.cookies


async def test_the_key_of_a_worker_signs_no_browser_in(acme: Tenant, browser: Browser) -> None:
    page = await browser.enter_key(acme.worker_key)

    assert page.status_code == 403
    assert SESSION not in browser.http.cookies


@pytest.mark.parametrize("body", [b"\xff\xfe", b"api_key", b"&" * 9000, b"a=1&" * 50, b'{"api_key": "x"}', b""])
async def test_a_form_that_is_none_is_refused(browser: Browser, body: bytes) -> None:
    page = await browser.http.post("/auth/sign-in", content=body, headers={"Origin": ORIGIN})

    assert page.status_code == 403


async def test_nobody_is_signed_in_by_the_page_of_somebody_else(acme: Tenant, browser: Browser) -> None:
    page = await browser.enter_key(acme.api_key, origin="https://evil.example.com")

    assert page.status_code == 403
    assert SESSION not in browser.http.cookies


async def test_the_page_offers_each_provider_and_an_api_key_and_asks_no_other_host(
    browser: Browser, provider: Provider
) -> None:
    page = await browser.http.get("/auth/sign-in?return_to=/api/docs?a=%22%3Cb")

    assert f'href="sign-in?issuer={provider.url.replace(":", "%3A").replace("/", "%2F")}&amp;' in page.text
    assert 'name="return_to" value="/api/docs?a=&quot;&lt;b"' in page.text
    assert "<script" not in page.text
    assert "src=" not in page.text
    assert "//" not in page.text
    assert page.headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'sha256-")
    assert page.headers["Cache-Control"] == "no-store"


async def test_who_is_signed_in_is_offered_to_sign_out(ada: Browser) -> None:
    page = await ada.http.get("/auth/sign-in")

    assert "You are signed in" in page.text
    assert 'action="sign-out"' in page.text


@pytest.mark.parametrize("header", ["Bearer", "bearer cp_key_unknown", "Basic YTpi", "nonsense", ""])
async def test_an_authorization_header_counts_before_the_cookie_even_if_it_is_no_good(
    ada: Browser, header: str
) -> None:
    response = await ada.agents(Authorization=header)

    assert response.status_code == 401


async def test_an_authorization_header_says_whose_things_one_sees(ada: Browser, globex: Tenant) -> None:
    response = await ada.agents(Authorization=f"Bearer {globex.api_key}")

    assert [agent["id"] for agent in response.json()] == [globex.agent["id"]]


async def test_a_session_is_no_bearer_credential(ada: Browser, api_url: str) -> None:
    async with client(api_url, ada.http.cookies[SESSION]) as http:
        response = await http.get("/agents")

    assert response.status_code == 401


async def test_a_member_of_several_organizations_names_one(ada: Browser, globex: Tenant, provider: Provider) -> None:
    await invite(globex, provider)

    unnamed = await ada.agents()
    named = await ada.agents(**{"X-Organization": "globex"})

    assert unnamed.status_code == 403
    assert [agent["id"] for agent in named.json()] == [globex.agent["id"]]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "null"},
        {"Origin": "https://evil.example.com"},
        {"Origin": f"{ORIGIN}.evil.example.com"},
        {"Origin": "http://127.0.0.1:8888"},
        {"Origin": ORIGIN, "Sec-Fetch-Site": "cross-site"},
        {"Origin": "https://sub.example.com", "Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
    ],
)
async def test_no_page_of_somebody_else_can_change_anything(ada: Browser, headers: dict[str, str]) -> None:
    response = await ada.http.post("/api/v1/projects", json=PROJECT, headers=headers)
    projects = await ada.http.get("/api/v1/projects")

    assert response.status_code == 403
    assert f"only from pages of {ORIGIN}" in response.json()["detail"]
    assert [project["slug"] for project in projects.json()] == ["shop"]


@pytest.mark.parametrize("headers", [{"Origin": ORIGIN}, {"Origin": "http://x", "Sec-Fetch-Site": "same-origin"}])
async def test_a_page_of_this_server_can(ada: Browser, headers: dict[str, str]) -> None:
    response = await ada.http.post("/api/v1/projects", json=PROJECT, headers=headers)

    assert response.status_code == 201


async def test_a_key_beside_a_cookie_needs_no_origin(ada: Browser, acme: Tenant) -> None:
    response = await ada.http.post(
        "/api/v1/projects", json=PROJECT, headers={"Authorization": f"Bearer {acme.api_key}"}
    )

    assert response.status_code == 201


@pytest.mark.parametrize("path", ["claim", "lease", "events", "finish"])
async def test_a_session_opens_nothing_of_workers_and_executions(with_key: Browser, path: str) -> None:
    bodies = {
        "claim": {"worker": "w"},
        "lease": {"fence": 1},
        "events": {"fence": 1, "events": []},
        "finish": {"fence": 1, "status": "completed"},
    }

    response = await with_key.http.post(
        f"/api/v1/worker/executions/{uuid4()}/{path}", json=bodies[path], headers={"Origin": ORIGIN}
    )

    assert response.status_code == 403
    assert "needs the permission" in response.json()["detail"]


async def test_signing_out_holds_at_once_in_every_process(ada: Browser, elsewhere: Browser) -> None:
    before = await elsewhere.agents()

    signed_out = await ada.sign_out()

    assert (signed_out.status_code, signed_out.headers["Location"]) == (303, "sign-in")
    assert SESSION not in ada.http.cookies
    assert [before.status_code, (await elsewhere.agents()).status_code] == [200, 401]


async def test_the_page_of_somebody_else_signs_nobody_out(ada: Browser) -> None:
    page = await ada.sign_out(origin="https://evil.example.com")

    assert page.status_code == 403
    assert (await ada.agents()).status_code == 200


async def test_signing_out_twice_is_harmless(ada: Browser) -> None:
    answers = [await ada.sign_out(), await ada.sign_out()]

    assert [answer.status_code for answer in answers] == [303, 303]


async def test_a_session_ends_when_its_time_is_over(ada: Browser, test_database: TestDatabase) -> None:
    before = await ada.agents()
    await test_database.change("UPDATE browser_sessions SET expires_at = now()")

    after = await ada.agents()

    assert [before.status_code, after.status_code] == [200, 401]
    assert "session of this browser has ended" in after.json()["detail"]


async def test_a_session_lasts_as_long_as_the_settings_say(ada: Browser, database: Database) -> None:
    async with database.tenant(None) as session:
        lifetime = await session.scalar(text("SELECT expires_at - created_at FROM browser_sessions"))

    assert lifetime is not None
    assert timedelta(0) <= lifetime - timedelta(hours=8) < timedelta(seconds=5)


async def test_who_is_removed_is_out(ada: Browser, acme: Tenant) -> None:
    members = f"/organizations/{acme.organization['id']}/members"
    [member] = (await acme.client.get(members)).json()
    before = await ada.agents()
    await acme.client.delete(f"{members}/{member['id']}")

    after = await ada.agents()

    assert [before.status_code, after.status_code] == [200, 403]


async def test_with_the_key_the_session_ends(
    with_key: Browser, settings: Settings, test_database: TestDatabase
) -> None:
    before = await with_key.agents()
    await test_database.change("UPDATE credentials SET revoked_at = now() WHERE kind = 'api_key'")

    # Another process hasn't seen the key. For how long one remembers it has a test in test_credentials.
    async with api_server(settings, FakeOrchestrator()) as url, opened_browser(url) as other:
        after = await other.agents(Cookie=f"{SESSION}={with_key.http.cookies[SESSION]}")

    assert [before.status_code, after.status_code] == [200, 401]


async def test_ended_sessions_are_deleted_and_others_stay(
    ada: Browser, acme: Tenant, api_url: str, database: Database, test_database: TestDatabase
) -> None:
    async with opened_browser(api_url) as other:
        await other.enter_key(acme.api_key)
    await test_database.change("UPDATE browser_sessions SET expires_at = now() WHERE credential_hash IS NULL")

    await browser_sessions.forget_ended(database)

    async with database.tenant(None) as session:
        left = (await session.scalars(text("SELECT subject FROM browser_sessions"))).all()
    assert left == [None]


async def test_nothing_that_opens_a_session_is_stored(ada: Browser, database: Database) -> None:
    async with database.tenant(None) as session:
        row = (await session.execute(text("SELECT * FROM browser_sessions"))).one()

    assert ada.http.cookies[SESSION].startswith(browser_sessions.PREFIX)
    assert ada.http.cookies[SESSION].encode() not in row.hash
    assert len(row.hash) == 32


async def test_over_https_only_the_cookie_that_no_other_host_can_set_counts(ada: Browser, settings: Settings) -> None:
    secure = settings.model_validate(settings.model_dump() | {"public_url": "https://cp.example.com"})
    token = ada.http.cookies[SESSION]

    async with api_server(secure, FakeOrchestrator()) as url, opened_browser(url) as browser:
        plain = await browser.agents(Cookie=f"{SESSION}={token}")
        prefixed = await browser.agents(Cookie=f"__Host-{SESSION}={token}")

    assert [plain.status_code, prefixed.status_code] == [401, 200]
