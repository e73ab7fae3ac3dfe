"""Requests with sign-in tokens: beside keys, as members, and while the provider is away."""

from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest
from pydantic import SecretStr
from starlette.responses import Response

from control_plane.auth.local_issuer import LocalIssuer, new_key
from control_plane.settings import Settings
from tests.control_plane.auth.provider import STRANGER, Provider
from tests.tenants import Tenant, client, created

pytestmark = pytest.mark.integration


@pytest.fixture
def settings(settings: Settings, provider: Provider) -> Settings:
    """Settings of a server that trusts the provider, and has an issuer of its own."""
    return settings.model_copy(update={"oidc_issuers": (provider.settings,), "local_issuer_keys": SecretStr(new_key())})


@pytest.fixture
def local_issuer(settings: Settings) -> LocalIssuer:
    """The server's own issuer, as the command line uses it."""
    issuer = LocalIssuer.of(settings)
    assert issuer is not None
    return issuer


@pytest.fixture
async def stranger(api_url: str, provider: Provider) -> AsyncIterator[httpx.AsyncClient]:
    """A client with a good token of somebody who is no member of anything."""
    async with client(api_url, provider.token()) as http:
        yield http


async def invite(tenant: Tenant, **member: str) -> None:
    body = {"name": "Ada", "grants": [{"role": "viewer"}]} | member
    await created(tenant.client, f"/organizations/{tenant.organization['id']}/members", body)


async def test_a_member_signs_in_with_a_token_and_may_do_what_their_role_says(
    acme: Tenant, api_url: str, provider: Provider
) -> None:
    await invite(acme, issuer=provider.url, subject="ada")

    async with client(api_url, provider.token()) as ada:
        reading = await ada.get("/agents")
        writing = await ada.post("/projects", json={"name": "Mine", "slug": "mine"})

    assert [agent["id"] for agent in reading.json()] == [acme.agent["id"]]
    assert writing.status_code == 403


async def test_an_invitation_by_address_is_accepted_by_who_verified_it(
    acme: Tenant, api_url: str, provider: Provider
) -> None:
    await invite(acme, email="ada@example.com")
    verified = provider.token(email="ada@example.com", email_verified=True)

    async with client(api_url, provider.token(email="ada@example.com")) as http:
        before = await http.get("/agents")
    async with client(api_url, verified) as http:
        accepted = await http.get("/agents")

    assert [before.status_code, accepted.status_code] == [403, 200]


async def test_whoever_is_no_member_is_told_so(stranger: httpx.AsyncClient, acme: Tenant) -> None:
    response = await stranger.get("/agents")

    assert response.status_code == 403
    assert "signed in but no member of any organization" in response.json()["detail"]


async def test_a_member_of_two_organizations_sees_the_one_they_name(
    acme: Tenant, globex: Tenant, api_url: str, provider: Provider
) -> None:
    await invite(acme, issuer=provider.url, subject="ada")
    await invite(globex, issuer=provider.url, subject="ada")

    async with client(api_url, provider.token()) as ada:
        unnamed = await ada.get("/agents")
        named = [await ada.get("/agents", headers={"X-Organization": slug}) for slug in ("acme", "globex")]

    assert unnamed.status_code == 403
    assert "acme, globex" in unnamed.json()["detail"]
    assert [response.json()[0]["id"] for response in named] == [acme.agent["id"], globex.agent["id"]]


async def test_naming_an_organization_opens_none_that_one_is_no_member_of(
    acme: Tenant, globex: Tenant, api_url: str, provider: Provider
) -> None:
    await invite(acme, issuer=provider.url, subject="ada")

    async with client(api_url, provider.token()) as ada:
        foreign = await ada.get("/agents", headers={"X-Organization": globex.organization["id"]})
        unknown = await ada.get("/agents", headers={"X-Organization": "nowhere"})

    assert [foreign.status_code, unknown.status_code] == [403, 403]
    assert foreign.json()["detail"] == unknown.json()["detail"]


async def test_a_key_stays_in_its_organization_whatever_a_header_says(acme: Tenant, globex: Tenant) -> None:
    response = await acme.client.get("/agents", headers={"X-Organization": "globex"})

    assert [agent["id"] for agent in response.json()] == [acme.agent["id"]]


@pytest.mark.parametrize("credential", ["forged", "a.b.c", "..", "eyJhbGciOiJub25lIn0.e30."])
async def test_what_is_no_good_token_is_refused_with_401(
    acme: Tenant, api_url: str, provider: Provider, credential: str
) -> None:
    token = provider.token(STRANGER) if credential == "forged" else credential
    async with client(api_url, token) as http:
        response = await http.get("/agents")

    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="control-plane"'


async def test_while_the_provider_is_down_tokens_wait_and_keys_work(
    acme: Tenant, api_url: str, provider: Provider
) -> None:
    await invite(acme, issuer=provider.url, subject="ada")
    provider.answer = Response(status_code=502)

    async with client(api_url, provider.token()) as ada:
        with_token = await ada.get("/agents")
    with_key = await acme.client.get("/agents")

    assert with_token.status_code == 503
    assert int(with_token.headers["Retry-After"]) > 0
    assert with_key.status_code == 200


async def test_a_token_of_the_local_issuer_signs_its_subject_in(
    acme: Tenant, api_url: str, local_issuer: LocalIssuer
) -> None:
    await invite(acme, issuer=local_issuer.url, subject="ada")

    async with client(api_url, local_issuer.issue("ada", lifetime=timedelta(minutes=5))) as ada:
        response = await ada.get("/agents")

    assert response.status_code == 200


async def test_a_token_of_the_local_issuer_for_another_service_is_refused(
    acme: Tenant, api_url: str, local_issuer: LocalIssuer
) -> None:
    await invite(acme, issuer=local_issuer.url, subject="ada")
    token = local_issuer.issue("ada", lifetime=timedelta(minutes=5), audience="https://elsewhere.example")

    async with client(api_url, token) as ada:
        response = await ada.get("/agents")

    assert response.status_code == 401


async def test_two_providers_may_have_the_same_subject_and_mean_two_people(
    acme: Tenant, api_url: str, provider: Provider, local_issuer: LocalIssuer
) -> None:
    await invite(acme, issuer=provider.url, subject="ada")

    async with client(api_url, local_issuer.issue("ada", lifetime=timedelta(minutes=5))) as other:
        response = await other.get("/agents")

    assert response.status_code == 403
