"""The control plane's own issuer: what it signs, what it publishes, and how its key is replaced."""

import asyncio
from datetime import timedelta

import httpx
import pytest
from joserfc.jwk import ECKey, OKPKey, RSAKey
from pydantic import SecretStr

from control_plane.auth.local_issuer import LocalIssuer, new_key
from control_plane.auth.oidc import Identity, Tokens, Trusted
from control_plane.auth.oidc_keys import ProviderKeys
from control_plane.problems import Unauthenticated
from control_plane.settings import Settings
from tests.orchestrator import FakeOrchestrator
from tests.serving import api_server

pytestmark = pytest.mark.integration

URL = "https://control-plane.example.com"
HOUR = timedelta(hours=1)
OLD, NEW = new_key(), new_key()
P256 = ECKey.generate_key("P-256").as_pem(private=True).decode()


def verified(issuer: LocalIssuer, token: str) -> Identity:
    return asyncio.run(Tokens([issuer.trusted()]).verify(token))


@pytest.mark.parametrize("pem", [OLD, P256, OLD.replace("\n", "\\n")], ids=["Ed25519", "P-256", "escaped lines"])
def test_a_token_that_it_issues_counts(pem: str) -> None:
    issuer = LocalIssuer(f"{URL}/", pem)

    identity = verified(issuer, issuer.issue("ada", lifetime=HOUR, email="ada@example.com"))

    assert identity == Identity(URL, "ada", "ada@example.com")


def test_a_token_without_an_address_vouches_for_none() -> None:
    issuer = LocalIssuer(URL, OLD)

    assert verified(issuer, issuer.issue("ada", lifetime=HOUR)).email is None


def test_a_token_ends_with_its_lifetime() -> None:
    issuer = LocalIssuer(URL, OLD)

    with pytest.raises(Unauthenticated, match="has expired"):
        verified(issuer, issuer.issue("ada", lifetime=timedelta(minutes=-2)))


def test_a_token_for_another_audience_does_not_count_here() -> None:
    issuer = LocalIssuer(URL, OLD)

    with pytest.raises(Unauthenticated, match="claim aud"):
        verified(issuer, issuer.issue("ada", lifetime=HOUR, audience="elsewhere"))


def test_when_the_key_is_replaced_tokens_of_the_old_one_count_while_it_is_listed() -> None:
    token = LocalIssuer(URL, OLD).issue("ada", lifetime=HOUR)

    assert verified(LocalIssuer(URL, NEW + OLD), token).subject == "ada"
    with pytest.raises(Unauthenticated, match="doesn't publish"):
        verified(LocalIssuer(URL, NEW), token)


def test_the_first_key_signs_and_all_are_published() -> None:
    issuer = LocalIssuer(URL, NEW + OLD)

    token = issuer.issue("ada", lifetime=HOUR)

    assert verified(LocalIssuer(URL, NEW), token).subject == "ada"
    assert len(issuer.key_set()["keys"]) == 2


@pytest.mark.parametrize("pem", [OLD, P256], ids=["Ed25519", "P-256"])
def test_no_private_part_is_published(pem: str) -> None:
    [published] = LocalIssuer(URL, pem).key_set()["keys"]

    assert "d" not in published
    assert published["use"] == "sig"


def test_an_old_key_may_be_listed_by_its_public_part_alone() -> None:
    public = OKPKey.import_key(OLD).as_pem(private=False).decode()
    token = LocalIssuer(URL, OLD).issue("ada", lifetime=HOUR)

    assert verified(LocalIssuer(URL, NEW + public), token).subject == "ada"
    with pytest.raises(ValueError, match="must begin with a private key"):
        LocalIssuer(URL, public)


@pytest.mark.parametrize(
    ("pem", "reason"),
    [
        ("", "must begin with a private key"),
        ("not a key", "must begin with a private key"),
        (RSAKey.generate_key(2048).as_pem(private=True).decode(), "neither Ed25519 nor P-256"),
        (OKPKey.generate_key("X25519").as_pem(private=True).decode(), "neither Ed25519 nor P-256"),
        (ECKey.generate_key("P-384").as_pem(private=True).decode(), "neither Ed25519 nor P-256"),
        (OLD.replace("MC4C", "AAAA"), "neither Ed25519 nor P-256"),
    ],
    ids=["nothing", "no PEM", "RSA", "X25519", "P-384", "damaged"],
)
def test_a_key_that_can_not_sign_is_refused_without_being_shown(pem: str, reason: str) -> None:
    with pytest.raises(ValueError, match=f"CONTROL_PLANE_LOCAL_ISSUER_KEYS .*{reason}") as caught:
        LocalIssuer(URL, pem)

    assert "BEGIN" not in str(caught.value)


async def test_others_can_verify_its_tokens_by_what_it_publishes(
    settings: Settings, orchestrator: FakeOrchestrator
) -> None:
    # The server must be told its own address before it runs, so it runs twice: the first time to get a port.
    async with api_server(settings, orchestrator) as url:
        port = httpx.URL(url).port
    told = settings.model_copy(update={"public_url": httpx.URL(url), "local_issuer_keys": SecretStr(NEW + OLD)})
    token = LocalIssuer(url, OLD).issue("ada", lifetime=HOUR, audience="elsewhere")

    async with api_server(told, orchestrator, port=port or 0), httpx.AsyncClient(trust_env=False) as http:
        trusted = Trusted(issuer=url, audience="elsewhere", algorithms=("Ed25519",), keys=ProviderKeys(url, http))
        identity = await Tokens([trusted]).verify(token)

    assert identity.subject == "ada"


@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/auth/jwks.json"])
async def test_a_control_plane_without_an_issuer_publishes_none(api_url: str, path: str) -> None:
    async with httpx.AsyncClient(base_url=api_url, trust_env=False) as anybody:
        response = await anybody.get(path)

    assert response.status_code == 404
    assert "CONTROL_PLANE_LOCAL_ISSUER_KEYS" in response.json()["detail"]
