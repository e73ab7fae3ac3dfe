"""Prefect's pages as a browser gets them: signed in, from here alone, and changing nothing."""

import re
from collections.abc import AsyncIterator

import httpx
import pytest

from control_plane.run_history.bundle import Bundle
from deployments import prefect_ui
from tests.control_plane.auth.browser import ORIGIN, Browser, opened_browser
from tests.tenants import OPERATOR_KEY, Tenant, client

pytestmark = pytest.mark.integration

HTML = {"Accept": "text/html,application/xhtml+xml"}
ASKED = {"Origin": ORIGIN, "Content-Type": "application/json"}


@pytest.fixture
async def browser(api_url: str, acme: Tenant) -> AsyncIterator[Browser]:
    """Signed in with an API key of acme."""
    async with opened_browser(api_url) as opened:
        await opened.enter_key(acme.api_key)
        yield opened


@pytest.mark.parametrize("path", ["/run-history/", "/run-history/runs/flow-run/1?tab=Logs"])
async def test_who_is_not_signed_in_goes_there_and_comes_back(api_url: str, path: str) -> None:
    async with opened_browser(api_url) as opened:
        sent = await opened.http.get(path, headers=HTML)
    where = httpx.URL(sent.headers["Location"])

    assert sent.status_code == 303
    assert where.path == "/auth/sign-in"
    assert where.params["return_to"] == path


@pytest.mark.parametrize("path", ["/ui-settings", "/assets/index.js", "/api/health", "/api/admin/version", "/"])
async def test_signed_out_nothing_is_shown(api_url: str, path: str) -> None:
    async with opened_browser(api_url) as opened:
        answer = await opened.http.get(f"/run-history{path}", headers={"Accept": "*/*"})

    assert answer.status_code == 401


async def test_after_signing_out_nothing_is_shown(browser: Browser) -> None:
    before = await browser.http.get("/run-history/api/health")
    await browser.sign_out()
    after = await browser.http.get("/run-history/api/health")

    assert [before.status_code, after.status_code] == [200, 401]


@pytest.mark.parametrize("path", ["", "/", "/runs", "/runs/flow-run/0b03cdd4-625c-4bcf-81e6-03d82434629a"])
async def test_every_page_is_the_one_that_shows_them_all(browser: Browser, path: str) -> None:
    page = await browser.http.get(f"/run-history{path}", headers=HTML, follow_redirects=True)

    assert page.status_code == 200
    assert 'src="/run-history/assets/index-' in page.text
    assert prefect_ui.PLACEHOLDER not in page.text


async def test_all_that_the_page_names_is_served(browser: Browser) -> None:
    page = await browser.http.get("/run-history/", headers=HTML)
    named = re.findall(r'(?:src|href)="(/run-history/[^"]+)"', page.text)
    answers = [await browser.http.get(path) for path in named]

    assert len(named) > 5
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.headers["X-Content-Type-Options"] for answer in answers} == {"nosniff"}


async def test_a_file_that_isnt_there_is_no_page(browser: Browser) -> None:
    missing = [await browser.http.get(f"/run-history/{path}") for path in ("assets/none", "none.js", "../app.py")]

    assert [answer.status_code for answer in missing] == [404, 404, 404]


async def test_a_page_may_ask_and_load_from_here_alone(browser: Browser) -> None:
    page = await browser.http.get("/run-history/", headers=HTML)
    policy = dict(one.strip().split(" ", 1) for one in page.headers["Content-Security-Policy"].split(";"))

    assert policy["default-src"] == policy["frame-ancestors"] == policy["form-action"] == "'none'"
    assert policy["connect-src"] == "'self'"
    assert [one for one in policy.values() if "http" in one or "*" in one] == []
    assert "'unsafe-inline'" not in policy["script-src"]


async def test_the_page_is_told_to_ask_here_and_to_need_no_password(browser: Browser) -> None:
    settings = await browser.http.get("/run-history/ui-settings")

    assert settings.headers["Cache-Control"] == "no-store"
    assert settings.json()["api_url"] == f"{ORIGIN}/run-history/api"
    assert (settings.json()["auth"], settings.json()["flags"]) == (None, [])
    assert settings.json()["v1_base_url"] == "/run-history"


async def test_files_are_sent_compressed_to_whom_can_read_that(browser: Browser) -> None:
    page = await browser.http.get("/run-history/", headers=HTML)
    script = re.findall(r'src="(/run-history/assets/[^"]+)"', page.text)[0]
    small = await browser.http.get(script, headers={"Accept-Encoding": "gzip"})
    plain = await browser.http.get(script, headers={"Accept-Encoding": "identity"})

    assert small.headers["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in plain.headers
    assert small.content == plain.content
    assert int(small.headers["Content-Length"]) < int(plain.headers["Content-Length"])


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (ASKED, 200),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({}, 403),
        (ASKED | {"Origin": "https://elsewhere.example.com"}, 403),
        (ASKED | {"Sec-Fetch-Site": "cross-site"}, 403),
    ],
)
async def test_with_the_cookie_only_pages_from_here_may_ask(
    browser: Browser, headers: dict[str, str], status: int
) -> None:
    answer = await browser.http.post("/run-history/api/variables/filter", headers=headers, content=b"{}")

    assert answer.status_code == status


async def test_no_page_of_another_origin_may_read_with_the_cookie(browser: Browser) -> None:
    answer = await browser.http.get("/run-history/api/health", headers={"Origin": "https://elsewhere.example.com"})

    assert "Access-Control-Allow-Origin" not in answer.headers
    assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.parametrize("kind", ["worker key", "worker session", "operator"])
@pytest.mark.parametrize("path", ["/run-history/api/health", "/run-history/", "/run-history/ui-settings"])
async def test_only_people_and_their_keys_get_in(api_url: str, acme: Tenant, kind: str, path: str) -> None:
    keys = {"worker key": acme.worker_key, "worker session": acme.session["session_token"], "operator": OPERATOR_KEY}
    async with client(api_url, keys[kind]) as http:
        answer = await http.get(f"{api_url}{path}")

    assert answer.status_code == 403


async def test_who_may_not_read_runs_sees_nothing(api_url: str, acme: Tenant) -> None:
    organization = f"/organizations/{acme.organization['id']}"
    role = {"name": "blind", "permissions": ["executions:read"]}
    made = await acme.client.post(f"{organization}/roles", json=role)
    key = await acme.client.post(f"{organization}/api-keys", json={"name": "blind", "role": "blind"})
    async with client(api_url, key.json()["key"]) as http:
        answer = await http.get(f"{api_url}/run-history/api/health")

    assert [made.status_code, key.status_code] == [201, 201]
    assert answer.status_code == 403
    assert "runs:read" in answer.json()["detail"]


async def test_the_installed_files_stay_as_they_are() -> None:
    index = prefect_ui.files() / "index.html"
    before = index.read_bytes()
    served = Bundle.read(prefect_ui.files(), placeholder=prefect_ui.PLACEHOLDER, served_at="/somewhere")
    page = served.get("index.html")

    assert page is not None
    assert b'src="/somewhere/assets/' in page.content
    assert index.read_bytes() == before
