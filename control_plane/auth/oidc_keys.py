"""What an OpenID Connect provider publishes: its discovery document and the keys that this names, kept while fresh.

A provider that is down costs nobody who has cached keys anything; a flood of made-up key ids costs the provider one
request in ten seconds.
"""

import asyncio
import json
import logging
import time
from collections.abc import Callable
from typing import Any, Final

import httpx
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey

from control_plane.client import is_on_this_machine
from control_plane.problems import Unavailable

FRESH_SECONDS: Final = 600
"""Older keys are fetched again before they are used, so a key that the provider withdrew soon stops working."""

STALE_SECONDS: Final = 86_400
"""Older keys are not used even if the provider doesn't answer: cutting it off must not keep a stolen key alive."""

COOL_DOWN_SECONDS: Final = 10
"""The least time between two attempts, successful or not."""

DEADLINE_SECONDS: Final = 5
MAX_BYTES: Final = 262_144

_LEAST_RSA_MODULUS: Final = 342
"""2048 bits in base64url."""

_KINDS: Final[dict[str, type[RSAKey | ECKey | OKPKey]]] = {"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}
_PUBLIC_MEMBERS: Final = {"kty", "kid", "use", "alg", "key_ops", "n", "e", "crv", "x", "y"}

logger = logging.getLogger(__name__)


class ProviderFault(Exception):
    """The provider answered with something we can't use."""


class ProviderKeys:
    """The keys and the discovery document of one provider. One for each issuer and process."""

    def __init__(self, issuer: str, http: httpx.AsyncClient, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._issuer = issuer
        self._http = http
        self._clock = clock
        self._asking = asyncio.Lock()
        self._asked_at = self._fetched_at = float("-inf")
        self._failed = False
        self._keys: list[Key] = []
        self._discovery: dict[str, Any] = {}

    async def find(self, kid: str | None, algorithm: str) -> Key | None:
        """The key that a token names, or the only one that fits if it names none.

        Raises `Unavailable` if it is not among the cached keys and the provider doesn't answer.
        """
        key = self._cached(kid, algorithm)
        if key is None or self._worth_asking():
            await self._ask()
            key = self._cached(kid, algorithm)
        if key is None and self._failed:
            raise Unavailable(
                f"The provider {self._issuer} doesn't tell its keys at the moment, so its tokens can't be checked."
                " Send the request again.",
                headers={"Retry-After": str(COOL_DOWN_SECONDS)},
            )
        return key

    async def endpoint(self, name: str) -> str:
        """A URL of the discovery document, as safe as the issuer's own. Raises `Unavailable` if nobody knows it."""
        if self._worth_asking():
            await self._ask()
        known = self._discovery if self._clock() - self._fetched_at <= STALE_SECONDS else {}
        url = known.get(name)
        if isinstance(url, str) and _as_safe_as(self._issuer, url):
            return url
        reason = f"names no {name} that is https" if known else "doesn't answer"
        raise Unavailable(
            f"The provider {self._issuer} {reason}, so nobody can sign in there at the moment.",
            headers={"Retry-After": str(COOL_DOWN_SECONDS)},
        )

    def offers(self, name: str, value: object) -> bool:
        """Whether the discovery document, as far as it is known, has this value or a list with it in it."""
        offered = self._discovery.get(name)
        return value in offered if isinstance(offered, list) else offered == value

    def _worth_asking(self) -> bool:
        # One request fetches aged keys again; those that come meanwhile use what is cached rather than wait.
        return self._clock() - self._fetched_at > FRESH_SECONDS and not self._asking.locked()

    def _cached(self, kid: str | None, algorithm: str) -> Key | None:
        if self._clock() - self._fetched_at > STALE_SECONDS:
            return None
        fitting = [key for key in self._keys if (kid is None or key.kid == kid) and _fits(key, algorithm)]
        return fitting[0] if len(fitting) == 1 else None

    async def _ask(self) -> None:
        async with self._asking:
            if self._clock() - self._asked_at < COOL_DOWN_SECONDS:
                return
            try:
                self._discovery, self._keys = await self._fetch()
                self._fetched_at = self._clock()
                self._failed = False
            except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, ProviderFault) as error:
                self._failed = True
                logger.warning("the keys of %s can't be fetched: %s: %s", self._issuer, type(error).__name__, error)
            finally:
                self._asked_at = self._clock()

    async def _fetch(self) -> tuple[dict[str, Any], list[Key]]:
        async with asyncio.timeout(DEADLINE_SECONDS):
            discovery = await self._get(f"{self._issuer.rstrip('/')}/.well-known/openid-configuration")
            if discovery.get("issuer") != self._issuer:
                raise ProviderFault("its discovery document names another issuer")
            where = discovery.get("jwks_uri")
            if not (isinstance(where, str) and _as_safe_as(self._issuer, where)):
                raise ProviderFault("its discovery document names no jwks_uri that is https")
            published = (await self._get(where)).get("keys")
        if not isinstance(published, list):
            raise ProviderFault("its key set has no list of keys")
        return discovery, [key for one in published if (key := _usable(one))]

    async def _get(self, url: str) -> dict[str, Any]:
        # Compressed answers are refused unread: a small one can unpack to gigabytes.
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        async with self._http.stream("GET", url, headers=headers) as response:
            if response.status_code != 200:
                raise ProviderFault(f"{url} answers {response.status_code}")
            return await json_object(response)


async def json_object(response: httpx.Response) -> dict[str, Any]:
    """The body of an answer that is still to be read. Raises `ProviderFault` for what is too large or no object."""
    content = bytearray()
    async for chunk in response.aiter_raw(65_536):
        content += chunk
        if len(content) > MAX_BYTES:
            raise ProviderFault(f"{response.url} answers with more than {MAX_BYTES} bytes")
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise ProviderFault(f"{response.url} doesn't answer with a JSON object")
    return document


def _as_safe_as(issuer: str, url: str) -> bool:
    """A provider elsewhere may not send us to a port of this machine, nor over the network without TLS."""
    return url.startswith("https://") or (
        url.startswith("http://") and is_on_this_machine(url) and is_on_this_machine(issuer)
    )


def _usable(published: Any) -> Key | None:
    """A published key that can verify signatures; None for every other, as providers publish keys of many kinds."""
    if not isinstance(published, dict) or published.get("use", "sig") != "sig":
        return None
    members = {name: value for name, value in published.items() if name in _PUBLIC_MEMBERS}
    try:
        kind = _KINDS[members["kty"]]
        if members["kty"] == "RSA" and len(members["n"]) < _LEAST_RSA_MODULUS:
            return None
        return kind.import_key(members)
    except (JoseError, ValueError, TypeError, KeyError, AttributeError):
        return None


def _fits(key: Key, algorithm: str) -> bool:
    """Whether a key is of the type (and for the algorithm, if it names one) that the token says it is signed with."""
    kind = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}[algorithm[:2]]
    # Some providers publish an Ed25519 key under the algorithm's older name.
    return key.key_type == kind and key.alg in {None, algorithm, "EdDSA" if kind == "OKP" else algorithm}
