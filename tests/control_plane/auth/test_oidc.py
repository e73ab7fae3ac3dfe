"""Which tokens of a provider count, asked of a provider that really runs."""

import base64
import hmac
import json
import time
from typing import Any

import pytest
from joserfc.jwk import ECKey, Key

from control_plane.auth.oidc import LEEWAY_SECONDS, MAX_TOKEN_CHARACTERS, Identity, Tokens
from control_plane.problems import Unauthenticated
from tests.control_plane.auth.provider import EC, ED25519, RSA, STRANGER, Provider

pytestmark = pytest.mark.integration

HOUR = 3600
DEEP = base64.urlsafe_b64encode(b"[" * 4500).decode()
"""JSON so deep that reading it ends in a RecursionError. The length makes the encoding come out without padding."""


def raw(header: object, claims: object, signature: bytes = b"") -> str:
    """A token put together by hand."""
    parts = (json.dumps(header).encode(), json.dumps(claims).encode(), signature)
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


async def refusal(tokens: Tokens, token: str) -> str:
    with pytest.raises(Unauthenticated) as caught:
        await tokens.verify(token)
    return caught.value.detail


@pytest.mark.parametrize("key", [RSA, EC, ED25519], ids=["RS256", "ES256", "Ed25519"])
async def test_a_good_token_vouches_for_its_subject(tokens: Tokens, provider: Provider, key: Key) -> None:
    identity = await tokens.verify(provider.token(key))

    assert identity == Identity(issuer=provider.url, subject="ada", email=None)


@pytest.mark.parametrize(
    "changed",
    [
        {"aud": ["another", "control-plane"]},
        {"nbf": None},
        {"iat": time.time() + LEEWAY_SECONDS / 2},
        {"groups": ["a", {"deep": [1, 2, 3]}]},
    ],
    ids=["several audiences", "no nbf", "clock a little ahead", "claims of its own"],
)
async def test_what_a_good_token_may_look_like(tokens: Tokens, provider: Provider, changed: dict[str, Any]) -> None:
    identity = await tokens.verify(provider.token(**changed))

    assert identity.subject == "ada"


@pytest.mark.parametrize("header", [{"typ": "at+jwt"}, {"typ": None}, {"x5t": "abc", "nonce": "of-its-own"}])
async def test_which_headers_a_good_token_may_have(tokens: Tokens, provider: Provider, header: dict[str, Any]) -> None:
    identity = await tokens.verify(provider.token(header=header))

    assert identity.subject == "ada"


@pytest.mark.parametrize(
    ("claims", "email"),
    [
        ({"email": "ada@example.com", "email_verified": True}, "ada@example.com"),
        ({"email": "ada@example.com", "email_verified": False}, None),
        ({"email": "ada@example.com", "email_verified": "true"}, None),
        ({"email": "ada@example.com"}, None),
        ({"email": ["ada@example.com"], "email_verified": True}, None),
        ({"email": "ada\x00@example.com", "email_verified": True}, None),
    ],
)
async def test_an_address_counts_only_if_the_provider_says_that_it_verified_it(
    tokens: Tokens, provider: Provider, claims: dict[str, Any], email: str | None
) -> None:
    identity = await tokens.verify(provider.token(**claims))

    assert identity.email == email


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE"])
async def test_an_unsigned_token_is_refused(tokens: Tokens, provider: Provider, algorithm: str) -> None:
    token = raw({"alg": algorithm, "typ": "JWT", "kid": "rsa-1"}, provider.claims())

    assert "count only if signed with" in await refusal(tokens, token)


async def test_a_good_token_without_its_signature_is_refused(tokens: Tokens, provider: Provider) -> None:
    header, claims, _ = provider.token().split(".")

    assert "signature isn't that of" in await refusal(tokens, f"{header}.{claims}.")


async def test_a_token_signed_with_the_public_key_as_a_shared_secret_is_refused(
    tokens: Tokens, provider: Provider
) -> None:
    header, claims = raw({"alg": "HS256", "typ": "JWT", "kid": "rsa-1"}, provider.claims()).split(".")[:2]
    digest = hmac.digest(RSA.as_pem(private=False), f"{header}.{claims}".encode(), "sha256")
    signature = base64.urlsafe_b64encode(digest).decode().rstrip("=")

    assert "count only if signed with" in await refusal(tokens, f"{header}.{claims}.{signature}")


async def test_a_token_of_an_algorithm_that_the_settings_do_not_name_is_refused(
    provider: Provider, tokens: Tokens
) -> None:
    assert "count only if signed with" in await refusal(tokens, provider.token(header={"alg": "PS256"}))


@pytest.mark.parametrize("key", [STRANGER, ECKey.generate_key("P-256", {"kid": "ec-1"})], ids=["RSA", "EC"])
async def test_a_token_signed_with_another_key_under_a_known_id_is_refused(
    tokens: Tokens, provider: Provider, key: Key
) -> None:
    assert "signature isn't that of" in await refusal(tokens, provider.token(key))


async def test_a_token_whose_claims_were_changed_is_refused(tokens: Tokens, provider: Provider) -> None:
    header, _, signature = provider.token().split(".")
    claims = raw({}, provider.claims(sub="somebody else")).split(".")[1]

    assert "signature isn't that of" in await refusal(tokens, f"{header}.{claims}.{signature}")


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"exp": time.time() - LEEWAY_SECONDS - HOUR}, "has expired"),
        ({"exp": int(time.time()) - LEEWAY_SECONDS - 1}, "has expired"),
        ({"nbf": time.time() + HOUR}, "claim nbf"),
        ({"iat": time.time() + HOUR}, "claim iat"),
        ({"aud": "another"}, "claim aud"),
        ({"aud": ["another", "third"]}, "claim aud"),
        ({"aud": "control-plane-2"}, "claim aud"),
        ({"aud": ["control-plane", 7]}, "claim aud"),
        ({"exp": "tomorrow"}, "claim exp"),
        ({"exp": True}, "claim exp"),
        ({"sub": 7}, "claim sub"),
        ({"sub": "\x00"}, "printable ASCII"),
        ({"sub": "x\n"}, "printable ASCII"),
        ({"sub": "zo\u00eb"}, "printable ASCII"),
        ({"sub": "x" * 256}, "1 to 255 printable ASCII"),
        ({"exp": None}, "lacks exp"),
        ({"iat": None}, "lacks iat"),
        ({"sub": None}, "lacks sub"),
        ({"aud": None}, "lacks aud"),
        ({"sub": ""}, "claim sub"),
        ({"iss": None}, "issuer"),
        ({"iss": "https://elsewhere.example"}, "issuer"),
        ({"iss": ["https://elsewhere.example"]}, "issuer"),
    ],
)
async def test_a_token_whose_claims_are_not_right_is_refused(
    tokens: Tokens, provider: Provider, changed: dict[str, Any], reason: str
) -> None:
    assert reason in await refusal(tokens, provider.token(**changed))


async def test_the_issuer_is_compared_to_the_letter(tokens: Tokens, provider: Provider) -> None:
    assert "issuer" in await refusal(tokens, provider.token(iss=f"{provider.url}/"))


@pytest.mark.parametrize("header", [{"typ": "logout+jwt"}, {"typ": "secevent+jwt"}])
async def test_a_token_that_is_for_something_else_is_refused(
    tokens: Tokens, provider: Provider, header: dict[str, Any]
) -> None:
    assert "isn't an ID token or access token" in await refusal(tokens, provider.token(header=header))


async def test_a_token_that_demands_an_extension_is_refused(tokens: Tokens, provider: Provider) -> None:
    token = raw({"alg": "RS256", "kid": "rsa-1", "crit": ["exp"], "exp": 1}, provider.claims())

    assert "isn't an ID token or access token" in await refusal(tokens, token)


@pytest.mark.parametrize("kid", [7, ["rsa-1"], {"kid": "rsa-1"}])
async def test_a_key_id_that_is_not_text_is_refused(tokens: Tokens, provider: Provider, kid: object) -> None:
    token = raw({"alg": "RS256", "kid": kid}, provider.claims())

    assert "key id isn't text" in await refusal(tokens, token)


@pytest.mark.parametrize(
    "token",
    [
        "..",
        "a.b.c",
        "ÿ.ÿ.ÿ",
        raw([], {}),
        raw("alg", {}),
        raw(7, {}),
        raw({"alg": "RS256"}, ["not", "an", "object"]),
        raw({"alg": "RS256"}, "iss"),
        raw({"alg": "RS256", "b64": False, "crit": ["b64"]}, {}),
        f"eyJhbGciOiJSUzI1NiJ9.{DEEP}.",
        f"{DEEP}.e30.",
    ],
)
async def test_what_only_looks_like_a_token_is_refused(tokens: Tokens, token: str) -> None:
    assert await refusal(tokens, token)


async def test_a_huge_token_is_refused_before_it_is_read(tokens: Tokens, provider: Provider) -> None:
    token = provider.token(groups=["x" * MAX_TOKEN_CHARACTERS])

    assert f"longer than {MAX_TOKEN_CHARACTERS} characters" in await refusal(tokens, token)
    assert provider.asked == 0
