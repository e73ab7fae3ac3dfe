"""Browsers sign in at a provider: the way there and back, and everything that must not end in a session."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from starlette.responses import JSONResponse, Response

from control_plane.settings import Settings
from tests.control_plane.auth.browser import SESSION, SIGN_IN, Browser, opened_browser
from tests.control_plane.auth.provider import AUDIENCE, STRANGER, Provider
from tests.orchestrator import FakeOrchestrator
from tests.serving import api_server
from tests.tenants import Tenant, created

pytestmark = pytest.mark.integration


@pytest.fixture
def settings(settings: Settings, provider: Provider) -> Settings:
    """Settings of a server where people sign in with the provider."""
    return settings.model_copy(update={"oidc_issuers": (provider.settings,)})


@pytest.fixture
async def invited(acme: Tenant) -> Tenant:
    """An organization that has invited Ada by her address."""
    body = {"name": "Ada", "email": "ada@example.com", "grants": [{"role": "viewer"}]}
    await created(acme.client, f"/organizations/{acme.organization['id']}/members", body)
    return acme


@pytest.fixture
async def another(api_url: str) -> AsyncIterator[Browser]:
    """A browser of somebody else."""
    async with opened_browser(api_url) as started:
        yield started


def assert_refused(page: httpx.Response, *, status: int, reason: str) -> None:
    """A page says why, no session has begun, and nothing of the attempt is left or shown."""
    assert page.status_code == status, page.text
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert reason in page.text
    assert '<a href="sign-in">Sign in again</a>' in page.text
    assert "code-" not in page.text
    assert "eyJ" not in page.text
    assert SESSION not in page.headers.get("Set-Cookie", "")
    assert SIGN_IN not in page.cookies


async def test_an_invited_person_signs_in_and_comes_back_to_where_they_were(
    invited: Tenant, browser: Browser, provider: Provider
) -> None:
    back = await browser.sign_in(provider.url, return_to="/api/docs?of=acme#agents")
    agents = await browser.agents()

    assert back.status_code == 303
    assert back.headers["Location"] == "/api/docs?of=acme#agents"
    assert [agent["id"] for agent in agents.json()] == [invited.agent["id"]]
    assert set(browser.http.cookies) == {SESSION}


async def test_an_address_that_is_not_verified_accepts_no_invitation(
    invited: Tenant, browser: Browser, provider: Provider
) -> None:
    provider.id_token = {"email_verified": False}
    await browser.sign_in(provider.url)

    agents = await browser.agents()

    assert agents.status_code == 403
    assert "no member of any organization" in agents.json()["detail"]


@pytest.mark.parametrize("methods", [["client_secret_post"], ["client_secret_basic", "client_secret_post"]])
async def test_a_confidential_client_authenticates_as_the_provider_wants_it(
    settings: Settings, provider: Provider, methods: list[str]
) -> None:
    provider.discovery = {"token_endpoint_auth_methods_supported": methods}
    provider.client_secret = "s3cret/with+signs"
    own = provider.settings.model_copy(update={"client_secret": SecretStr("s3cret/with+signs")})
    confidential = settings.model_copy(update={"oidc_issuers": (own,)})

    async with api_server(confidential, FakeOrchestrator()) as url, opened_browser(url) as browser:
        back = await browser.sign_in(provider.url)

    assert back.status_code == 303


async def test_a_client_that_the_provider_does_not_know_is_for_who_runs_the_server(
    browser: Browser, provider: Provider
) -> None:
    provider.client_secret = "another"

    page = await browser.sign_in(provider.url)

    assert_refused(page, status=400, reason="Tell who runs it")


async def test_the_audience_of_api_tokens_and_the_client_of_browsers_may_differ(
    settings: Settings, provider: Provider
) -> None:
    api = provider.settings.model_copy(update={"audience": "https://api.example.com", "client_id": AUDIENCE})
    differing = settings.model_copy(update={"oidc_issuers": (api,)})

    async with api_server(differing, FakeOrchestrator()) as url, opened_browser(url) as browser:
        back = await browser.sign_in(provider.url)
        provider.id_token = {"aud": "https://api.example.com"}
        for_the_api = await browser.sign_in(provider.url)

    assert back.status_code == 303
    assert for_the_api.status_code == 403


async def test_over_https_no_other_host_can_set_the_cookies(settings: Settings, provider: Provider) -> None:
    secure = settings.model_validate(settings.model_dump() | {"public_url": "https://cp.example.com"})

    async with api_server(secure, FakeOrchestrator()) as url, opened_browser(url) as browser:
        begun = await browser.begin(provider.url)
        signed_out = await browser.sign_out(origin="https://cp.example.com")

    assert "redirect_uri=https%3A%2F%2Fcp.example.com%2Fauth%2Fcallback" in begun.headers["Location"]
    name, *attributes = begun.headers["Set-Cookie"].split("; ")
    assert name.startswith(f"__Host-{SIGN_IN}=")
    assert attributes == ["HttpOnly", "Max-Age=600", "Path=/", "SameSite=lax", "Secure"]
    assert signed_out.headers["Set-Cookie"].startswith(f'__Host-{SESSION}=""; HttpOnly; Max-Age=0; Path=/;')


async def test_the_session_is_kept_from_scripts_and_from_other_sites(browser: Browser, provider: Provider) -> None:
    back = await browser.sign_in(provider.url)

    session = next(one for one in back.headers.get_list("Set-Cookie") if one.startswith(SESSION))
    assert session.split("; ")[1:] == ["HttpOnly", "Max-Age=28800", "Path=/", "SameSite=lax"]


async def test_an_answer_that_another_browser_began_is_refused(
    browser: Browser, another: Browser, provider: Provider
) -> None:
    answer = await browser.at_provider(provider.url)
    await another.begin(provider.url)

    page = await another.http.get(answer)

    assert_refused(page, status=400, reason="belongs to another sign-in")


async def test_a_code_of_another_browser_is_of_no_use_even_with_the_right_state(
    browser: Browser, another: Browser, provider: Provider
) -> None:
    stolen = httpx.URL(await browser.at_provider(provider.url)).params["code"]
    own = httpx.URL(await another.at_provider(provider.url))

    page = await another.http.get(str(own.copy_set_param("code", stolen)))

    assert_refused(page, status=400, reason="doesn&#x27;t accept what it sent you back with")


async def test_a_browser_without_a_sign_in_under_way_is_told_so(
    browser: Browser, another: Browser, provider: Provider
) -> None:
    answer = await browser.at_provider(provider.url)

    page = await another.http.get(answer)

    assert_refused(page, status=400, reason="has no sign-in under way")


@pytest.mark.parametrize("sealed", ["", "nonsense", "gAAAAABinvented", "\u00e4".encode().decode("latin-1")])
async def test_a_sign_in_that_is_not_ours_is_refused(another: Browser, sealed: str) -> None:
    cookie = f"{SIGN_IN}={sealed}".encode("latin-1")

    page = await another.http.get("/auth/callback?state=x&code=code-x", headers={b"Cookie": cookie})

    assert_refused(page, status=400, reason="has no sign-in under way")


async def test_an_answer_counts_once(browser: Browser, provider: Provider) -> None:
    answer = await browser.at_provider(provider.url)
    first = await browser.http.get(answer)

    page = await browser.http.get(answer)

    assert first.status_code == 303
    assert_refused(page, status=400, reason="has no sign-in under way")


async def test_a_stolen_answer_counts_once_even_where_a_provider_redeems_codes_twice(
    browser: Browser, another: Browser, provider: Provider
) -> None:
    answer = await browser.at_provider(provider.url)
    another.http.cookies = httpx.Cookies(browser.http.cookies)
    codes = dict(provider.codes)
    await browser.http.get(answer)
    provider.codes = codes

    page = await another.http.get(answer)

    assert_refused(page, status=400, reason="was used already")


async def test_a_failed_attempt_is_over(browser: Browser, provider: Provider) -> None:
    answer = await browser.at_provider(provider.url)
    await browser.http.get("/auth/callback?state=wrong&code=code-x")

    page = await browser.http.get(answer)

    assert_refused(page, status=400, reason="has no sign-in under way")


@pytest.mark.parametrize(
    ("sent_back", "status", "reason"),
    [
        ({"error": "access_denied"}, 403, "access was denied"),
        ({"error": "<script>alert(1)</script>", "error_description": "code-x"}, 400, "without signing you in"),
        ({"code": ""}, 400, "without signing you in"),
        ({"iss": "https://evil.example.com"}, 400, "from another provider"),
        ({"state": "another"}, 400, "belongs to another sign-in"),
        ({"state": "\u00e4\u0000"}, 400, "belongs to another sign-in"),
        ({"code": "code-\u00e4\u0000 &x=y"}, 400, "doesn&#x27;t accept what it sent you back with"),
    ],
)
async def test_what_a_provider_sends_back_instead_is_explained(
    browser: Browser, provider: Provider, sent_back: dict[str, str], status: int, reason: str
) -> None:
    provider.sent_back = sent_back

    page = await browser.sign_in(provider.url)

    assert_refused(page, status=status, reason=reason)
    assert "<script" not in page.text


async def test_a_provider_that_promises_to_name_itself_must(browser: Browser, provider: Provider) -> None:
    provider.discovery = {"authorization_response_iss_parameter_supported": True}
    anonymous = await browser.sign_in(provider.url)
    provider.sent_back = {"iss": provider.url}

    named = await browser.sign_in(provider.url)

    assert_refused(anonymous, status=400, reason="from another provider")
    assert named.status_code == 303


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"nonce": "of-another-sign-in"}, "made for another sign-in"),
        ({"nonce": None}, "made for another sign-in"),
        ({"aud": "another-client"}, "aud"),
        ({"aud": [AUDIENCE, "another-client"], "azp": "another-client"}, "another client"),
        ({"exp": 1}, "has expired"),
        ({"iss": "https://evil.example.com"}, "issuer"),
        ({"sub": " \n"}, "subject"),
        ({"header": {"alg": "RS512"}}, "signed with"),
        ({"key": STRANGER}, "signature"),
    ],
)
async def test_an_id_token_that_does_not_count_signs_nobody_in(
    browser: Browser, provider: Provider, claims: dict[str, Any], reason: str
) -> None:
    provider.id_token = claims

    page = await browser.sign_in(provider.url)

    assert_refused(page, status=403, reason=reason)


@pytest.mark.parametrize(
    ("answer", "status", "reason"),
    [
        (JSONResponse({"access_token": "x"}), 400, "without an ID token"),
        (JSONResponse({"id_token": 7}), 400, "without an ID token"),
        (JSONResponse({"id_token": "eyJ.eyJ.x"}), 403, "can&#x27;t be read"),
        (Response("<html>", status_code=200), 503, "doesn&#x27;t answer"),
        (Response(status_code=502), 503, "doesn&#x27;t answer"),
        (Response(b" " * 300_000), 503, "doesn&#x27;t answer"),
    ],
)
async def test_a_provider_that_answers_with_something_else_signs_nobody_in(
    browser: Browser, provider: Provider, answer: Response, status: int, reason: str
) -> None:
    provider.token_answer = answer

    page = await browser.sign_in(provider.url)

    assert_refused(page, status=status, reason=reason)


@pytest.mark.parametrize("endpoint", [None, 7, "http://elsewhere.example.com/authorize", "javascript:alert(1)"])
async def test_nobody_is_sent_where_a_provider_could_not_be_trusted(
    browser: Browser, provider: Provider, endpoint: object
) -> None:
    provider.discovery = {"authorization_endpoint": endpoint}

    page = await browser.begin(provider.url)

    assert_refused(page, status=503, reason="names no authorization_endpoint that is https")


async def test_while_the_provider_is_down_a_page_says_so(browser: Browser, provider: Provider) -> None:
    provider.answer = Response(status_code=502)

    page = await browser.begin(provider.url)

    assert_refused(page, status=503, reason="doesn&#x27;t answer")
    assert page.headers["Retry-After"] == "10"


async def test_a_provider_that_is_not_ours_is_not_gone_to(browser: Browser) -> None:
    page = await browser.begin("https://evil.example.com")

    assert_refused(page, status=400, reason="signs nobody in with that provider")


@pytest.mark.parametrize("return_to", ["//evil.example.com", "/\\evil.example.com", "https://evil.example.com"])
async def test_nobody_is_sent_elsewhere_after_signing_in(
    acme: Tenant, browser: Browser, provider: Provider, return_to: str
) -> None:
    pages = [
        await browser.begin(provider.url, return_to=return_to),
        await browser.begin("", return_to=return_to),
        await browser.enter_key(acme.api_key, return_to=return_to),
    ]

    assert [page.status_code for page in pages] == [400, 400, 400]
    assert "evil" not in "".join(page.text for page in pages)


async def test_signing_in_again_ends_the_session_before(invited: Tenant, browser: Browser, provider: Provider) -> None:
    await browser.sign_in(provider.url)
    earlier = browser.http.cookies[SESSION]
    await browser.sign_in(provider.url)

    now = await browser.agents()
    browser.http.cookies = httpx.Cookies({SESSION: earlier})
    before = await browser.agents()

    assert [now.status_code, before.status_code] == [200, 401]
