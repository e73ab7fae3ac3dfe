"""Where the keys of a provider come from, how long they count, and what a provider that fails or misbehaves does."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from joserfc.jwk import ECKey, RSAKey
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse

from control_plane.auth.oidc import Tokens
from control_plane.auth.oidc_keys import (
    COOL_DOWN_SECONDS,
    FRESH_SECONDS,
    MAX_BYTES,
    STALE_SECONDS,
    ProviderKeys,
)
from control_plane.problems import Unauthenticated, Unavailable
from tests.control_plane.auth.conftest import Clock
from tests.control_plane.auth.provider import EC, ED25519, ROTATED, RSA, Provider, running_provider

pytestmark = pytest.mark.integration


async def test_keys_are_fetched_once_and_used_for_many_tokens(tokens: Tokens, provider: Provider) -> None:
    identities = [await tokens.verify(provider.token(key)) for key in (RSA, EC, ED25519, RSA)]

    assert {identity.subject for identity in identities} == {"ada"}
    assert provider.asked == 1


async def test_a_new_key_is_found_without_a_restart(tokens: Tokens, provider: Provider, clock: Clock) -> None:
    await tokens.verify(provider.token())
    provider.published.append(ROTATED.as_dict(private=False))
    clock.now += COOL_DOWN_SECONDS

    identity = await tokens.verify(provider.token(ROTATED))

    assert identity.subject == "ada"
    assert provider.asked == 2


async def test_a_key_that_was_withdrawn_stops_working_when_the_cached_ones_are_old(
    tokens: Tokens, provider: Provider, clock: Clock
) -> None:
    await tokens.verify(provider.token())
    provider.published = [EC.as_dict(private=False)]
    clock.now += FRESH_SECONDS + 1

    with pytest.raises(Unauthenticated, match="doesn't publish"):
        await tokens.verify(provider.token())


async def test_made_up_key_ids_do_not_hammer_the_provider(tokens: Tokens, provider: Provider) -> None:
    forged = [provider.token(header={"kid": f"made-up-{number}"}) for number in range(50)]

    answers = await asyncio.gather(*map(tokens.verify, forged), return_exceptions=True)

    assert {type(answer) for answer in answers} == {Unauthenticated}
    assert provider.asked == 1


async def test_many_tokens_at_once_ask_the_provider_once(keys: ProviderKeys, provider: Provider) -> None:
    found = await asyncio.gather(*(keys.find("rsa-1", "RS256") for _ in range(20)))

    assert None not in found
    assert provider.asked == 1


async def test_a_provider_that_is_down_is_told_with_when_to_come_again(clock: Clock) -> None:
    async with running_provider() as gone:
        token = gone.token()

    async with httpx.AsyncClient(trust_env=False) as http:
        tokens = Tokens([gone.trusted(ProviderKeys(gone.url, http, clock=clock))])
        with pytest.raises(Unavailable, match="doesn't tell its keys") as caught:
            await tokens.verify(token)

    assert caught.value.headers["Retry-After"] == str(COOL_DOWN_SECONDS)


async def test_cached_keys_outlast_an_outage_but_not_for_ever(tokens: Tokens, provider: Provider, clock: Clock) -> None:
    await tokens.verify(provider.token())
    provider.answer = Response(status_code=502)
    clock.now += STALE_SECONDS - 1
    during = await tokens.verify(provider.token())
    clock.now += COOL_DOWN_SECONDS

    with pytest.raises(Unavailable):
        await tokens.verify(provider.token())

    assert during.subject == "ada"


async def test_an_unknown_key_during_an_outage_is_no_pass_and_no_final_no(
    tokens: Tokens, provider: Provider, clock: Clock
) -> None:
    await tokens.verify(provider.token())
    provider.answer = Response(status_code=502)
    clock.now += COOL_DOWN_SECONDS

    with pytest.raises(Unavailable):
        await tokens.verify(provider.token(ROTATED))


async def test_after_an_outage_tokens_count_again(tokens: Tokens, provider: Provider, clock: Clock) -> None:
    provider.answer = Response(status_code=502)
    with pytest.raises(Unavailable):
        await tokens.verify(provider.token())
    provider.answer = None
    clock.now += COOL_DOWN_SECONDS

    identity = await tokens.verify(provider.token())

    assert identity.subject == "ada"


def _gzip_bomb() -> Response:
    packed = gzip.compress(b'{"keys": [' + b" " * 50_000_000 + b"]}")
    return Response(packed, media_type="application/json", headers={"Content-Encoding": "gzip"})


def _endless() -> Response:
    async def chunks() -> AsyncIterator[bytes]:
        while True:
            yield b" " * 65_536

    return StreamingResponse(chunks(), media_type="application/json")


@pytest.mark.parametrize(
    "answer",
    [
        lambda: JSONResponse({"keys": [RSA.as_dict(private=False)], "padding": "x" * MAX_BYTES}),
        _endless,
        _gzip_bomb,
        lambda: RedirectResponse("https://elsewhere.example/keys"),
        lambda: Response("<html>", media_type="text/html"),
        lambda: Response(b"[" * 100_000),
        lambda: JSONResponse(["keys"]),
        lambda: JSONResponse({"keys": "none"}),
        lambda: JSONResponse({"keys": [RSA.as_dict(private=False)]}, status_code=404),
    ],
    ids=["oversize", "endless", "gzip bomb", "redirect", "html", "deep", "list", "no list", "404"],
)
async def test_an_answer_that_is_no_key_set_is_an_outage(
    tokens: Tokens, provider: Provider, answer: Callable[[], Response]
) -> None:
    provider.answer = answer()

    with pytest.raises(Unavailable):
        await tokens.verify(provider.token())


@pytest.mark.parametrize(
    "discovery",
    [
        {"issuer": "https://elsewhere.example"},
        {"jwks_uri": None},
        {"jwks_uri": 7},
        {"jwks_uri": "http://elsewhere.example/keys"},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": "https://["},
        {"jwks_uri": "http://["},
    ],
)
async def test_a_discovery_document_that_misleads_is_an_outage(
    tokens: Tokens, provider: Provider, discovery: dict[str, Any]
) -> None:
    provider.discovery = discovery

    with pytest.raises(Unavailable):
        await tokens.verify(provider.token())

    assert provider.asked == 0


@pytest.mark.parametrize(
    "other",
    [
        {"kty": "oct", "k": "c2VjcmV0", "kid": "rsa-1"},
        {"kty": "unheard-of", "kid": "x"},
        {"kty": ["RSA"]},
        {"kty": "RSA", "kid": "x", "n": 7, "e": "AQAB"},
        {"kty": "EC", "kid": "x", "crv": "P-256", "x": "AAAA", "y": "AAAA"},
        EC.as_dict(private=False) | {"use": "enc", "kid": "rsa-1"},
        "no key at all",
        None,
    ],
)
async def test_keys_that_we_cannot_use_do_not_spoil_the_others(
    tokens: Tokens, provider: Provider, other: object
) -> None:
    provider.published = [other, *provider.published]

    identity = await tokens.verify(provider.token())

    assert identity.subject == "ada"


async def test_a_key_that_is_too_short_verifies_nothing(tokens: Tokens, provider: Provider) -> None:
    with pytest.warns(UserWarning, match="2048 bits"):
        short = RSAKey.generate_key(1024, {"kid": "short"})
    provider.published = [short.as_dict(private=False)]

    with pytest.raises(Unauthenticated, match="doesn't publish"):
        await tokens.verify(provider.token(short))


async def test_a_key_for_encryption_verifies_nothing(tokens: Tokens, provider: Provider) -> None:
    provider.published = [RSA.as_dict(private=False) | {"use": "enc"}]

    with pytest.raises(Unauthenticated, match="doesn't publish"):
        await tokens.verify(provider.token())


async def test_a_key_for_another_algorithm_verifies_nothing(tokens: Tokens, provider: Provider) -> None:
    provider.published = [RSA.as_dict(private=False) | {"alg": "PS256"}]

    with pytest.raises(Unauthenticated, match="doesn't publish"):
        await tokens.verify(provider.token())


async def test_a_token_without_a_key_id_counts_if_only_one_key_fits(tokens: Tokens, provider: Provider) -> None:
    identity = await tokens.verify(provider.token(header={"kid": None}))

    assert identity.subject == "ada"


async def test_a_token_without_a_key_id_is_refused_if_several_keys_fit(tokens: Tokens, provider: Provider) -> None:
    provider.published.append(ECKey.generate_key("P-256", {"kid": "ec-3"}).as_dict(private=False))

    with pytest.raises(Unauthenticated, match="doesn't publish"):
        await tokens.verify(provider.token(EC, header={"kid": None}))
