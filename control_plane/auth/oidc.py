"""Sign-in tokens: the JWTs of OpenID Connect providers that this installation trusts.

Which claims of a token count is decided here, with keys that `oidc_keys` or `local_issuer` supply. Everything a token
says about itself (its algorithm, its issuer) only chooses among what the settings allow.
"""

import json
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol

from joserfc import jws
from joserfc.errors import ClaimError, ExpiredTokenError, JoseError, MissingClaimError
from joserfc.jwk import Key
from joserfc.jwt import JWTClaimsRegistry

from control_plane.problems import Unauthenticated

MAX_TOKEN_CHARACTERS = 8192
"""Providers that put groups into tokens come to 2 to 4 thousand; what is longer isn't even parsed."""

LEEWAY_SECONDS = 30
"""How far the provider's clock may be off ours."""

MOST_CHARACTERS = 255
"""Of a subject and of an e-mail address, in tokens as in what members are named by."""

SUBJECT = r"^[ -~]+$"
"""OpenID Connect Core, section 2: a subject has at most 255 ASCII characters. Control characters are none of ours."""

_TYPES = {"jwt", "at+jwt", "application/at+jwt"}
"""RFC 8725: a token that says it is something else, such as a logout token, signs nobody in."""

_UNREADABLE = (JoseError, ValueError, TypeError, RecursionError)


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom a provider vouches for. `email` is set only if the provider says that it verified it."""

    issuer: str
    subject: str
    email: str | None


class Keys(Protocol):
    """The public keys of one issuer."""

    async def find(self, kid: str | None, algorithm: str) -> Key | None:
        """The key a token names, or the only one that fits if it names none. Raises `Unavailable` if nobody knows."""


@dataclass(frozen=True, slots=True)
class Trusted:
    """An issuer whose tokens count, if they are meant for `audience` and signed with one of `algorithms`."""

    issuer: str
    audience: str
    algorithms: tuple[str, ...]
    keys: Keys
    email_claim: str = "email"


class Tokens:
    """Verifies the tokens of the trusted issuers."""

    def __init__(self, trusted: Iterable[Trusted], *, clock: Callable[[], float] = time.time) -> None:
        self._trusted = {one.issuer: one for one in trusted}
        self._clock = clock

    async def verify(self, token: str, *, nonce: str | None = None) -> Identity:
        """Whom the token vouches for. Raises `Unauthenticated`, or `Unavailable` if its provider doesn't answer.

        With `nonce` it must be an ID token that was made for this one sign-in and for nobody but us.
        """
        signed, claims = _read(token)
        issuer = claims.get("iss")
        trusted = self._trusted.get(issuer) if isinstance(issuer, str) else None
        if trusted is None:
            _refuse("Its issuer is none that this server trusts.")
        await self._check_signature(signed, trusted)
        self._check_claims(claims, trusted, nonce=nonce)
        subject = claims["sub"]
        if not (isinstance(subject, str) and len(subject) <= MOST_CHARACTERS and re.fullmatch(SUBJECT, subject)):
            _refuse(f"Its subject must be 1 to {MOST_CHARACTERS} printable ASCII characters, as OpenID Connect has it.")
        return Identity(trusted.issuer, subject, _verified_email(claims, trusted.email_claim))

    async def _check_signature(self, signed: jws.CompactSignature, trusted: Trusted) -> None:
        header = signed.headers()
        algorithm, kid = header.get("alg"), header.get("kid")
        if algorithm not in trusted.algorithms:
            _refuse(f"Tokens of {trusted.issuer} count only if signed with {' or '.join(trusted.algorithms)}.")
        if "crit" in header or str(header.get("typ", "JWT")).lower() not in _TYPES:
            _refuse("It isn't an ID token or access token.")
        if not (kid is None or isinstance(kid, str)):
            _refuse("Its key id isn't text.")
        key = await trusted.keys.find(kid, algorithm)
        if key is None:
            _refuse(f"It is signed with a key that {trusted.issuer} doesn't publish.")
        # Providers put headers of their own into tokens, which RFC 7515 says to ignore; `crit` is refused above.
        registry = jws.JWSRegistry(algorithms=[algorithm], strict_check_header=False)
        try:
            genuine = jws.validate_compact(signed, key, registry=registry)
        except _UNREADABLE:
            genuine = False
        if not genuine:
            _refuse(f"Its signature isn't that of {trusted.issuer}.")

    def _check_claims(self, claims: dict[str, Any], trusted: Trusted, *, nonce: str | None) -> None:
        if nonce is not None and not (
            claims.get("nonce") == nonce and claims.get("azp", trusted.audience) == trusted.audience
        ):
            _refuse("It was made for another sign-in or for another client.")
        required = JWTClaimsRegistry(
            now=int(self._clock()),
            leeway=LEEWAY_SECONDS,
            iss={"essential": True, "value": trusted.issuer},
            aud={"essential": True, "value": trusted.audience},
            sub={"essential": True},
            exp={"essential": True},
            iat={"essential": True},
        )
        try:
            required.validate(claims)
        except MissingClaimError as error:
            _refuse(f"It lacks {error.claim}.")
        except ExpiredTokenError:
            _refuse("It has expired. Sign in again.")
        except ClaimError as error:
            _refuse(f"Its claim {error.claim} isn't what this server needs.")


def is_token(presented: str) -> bool:
    """Whether a credential has the form of a JWT. No key of ours contains a dot."""
    return presented.count(".") == 2


def _read(token: str) -> tuple[jws.CompactSignature, dict[str, Any]]:
    if len(token) > MAX_TOKEN_CHARACTERS:
        _refuse(f"It is longer than {MAX_TOKEN_CHARACTERS} characters.")
    try:
        signed = jws.extract_compact(token.encode("ascii"), registry=_BOUNDED)
        claims = json.loads(signed.payload)
    except _UNREADABLE:
        _refuse("It can't be read as a signed JWT.")
    if not (isinstance(claims, dict) and isinstance(signed.headers(), dict)):
        _refuse("It can't be read as a signed JWT.")
    return signed, claims


class _Bounded(jws.JWSRegistry):
    """The whole token is bounded already; certificates in the header make it longer than joserfc expects."""

    max_header_length = MAX_TOKEN_CHARACTERS


_BOUNDED = _Bounded()


def _verified_email(claims: dict[str, Any], claim: str) -> str | None:
    email = claims.get(claim)
    return email if claims.get("email_verified") is True and _presentable(email) else None


def _presentable(value: object) -> bool:
    """Text that people can read and PostgreSQL can store."""
    return isinstance(value, str) and 0 < len(value) <= MOST_CHARACTERS and value.isprintable()


def _refuse(reason: str) -> NoReturn:
    raise Unauthenticated(f"The token is refused. {reason}")
