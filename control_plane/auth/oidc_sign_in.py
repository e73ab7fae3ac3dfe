"""From a verified person to a principal: a token says who it is, the members of organizations what they may do."""

import hashlib
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, Protocol

import httpx

from control_plane.auth.local_issuer import LocalIssuer
from control_plane.auth.oidc import Identity, Tokens, Trusted
from control_plane.auth.oidc_code_flow import CodeFlow
from control_plane.auth.oidc_keys import ProviderKeys
from control_plane.auth.principals import Principal
from control_plane.client import trusted as certificates
from control_plane.problems import Forbidden
from control_plane.settings import OidcIssuer

_REMEMBER_SECONDS: Final = 2.0
"""As for keys: who is removed from an organization is out within five seconds."""

_MOST_REMEMBERED: Final = 10_000


@dataclass(frozen=True, slots=True)
class Membership:
    """One organization a person is a member of, and the principal they are there."""

    organization_id: str
    slug: str
    principal: Principal


class Directory(Protocol):
    """Who is a member of what."""

    async def memberships(self, identity: Identity) -> Sequence[Membership]:
        """The organizations of a person, none if nobody invited them."""


class SignIn:
    """Recognises sign-in tokens and persons. `code_flows` are the providers where browsers sign in, by issuer."""

    def __init__(self, tokens: Tokens, directory: Directory, *, code_flows: Iterable[CodeFlow] = ()) -> None:
        self.code_flows = {one.issuer: one for one in code_flows}
        self._tokens = tokens
        self._directory = directory
        self._known: OrderedDict[tuple[bytes, str], tuple[float, Principal]] = OrderedDict()

    async def recognise(self, token: str, *, organization: str | None) -> Principal:
        """The principal a token's holder is in the organization they name (id or slug), or in their only one.

        Raises `Unauthenticated` for a token that doesn't count, `Unavailable` if its provider doesn't answer, and
        `Forbidden` for a person who is no member or doesn't say of which organization.
        """
        key = (hashlib.sha256(token.encode("utf-8", "replace")).digest(), organization or "")
        remembered = self._known.get(key)
        if remembered and remembered[0] > time.monotonic():
            return remembered[1]
        self._known.pop(key, None)
        identity = await self._tokens.verify(token)
        principal = await self.principal_of(identity, organization=organization)
        self._known[key] = (time.monotonic() + _REMEMBER_SECONDS, principal)
        while len(self._known) > _MOST_REMEMBERED:
            self._known.popitem(last=False)
        return principal

    async def principal_of(self, identity: Identity, *, organization: str | None) -> Principal:
        """The principal a person is in the organization they name, or in their only one. Raises `Forbidden`."""
        return _chosen(await self._directory.memberships(identity), organization)

    async def principals_of(self, identity: Identity) -> list[Principal]:
        """The principals a person is: one in each organization that they are a member of."""
        return [one.principal for one in await self._directory.memberships(identity)]


def _chosen(memberships: Sequence[Membership], organization: str | None) -> Principal:
    if not memberships:
        raise Forbidden(
            "You are signed in but no member of any organization. Ask an owner or admin of yours to invite you."
        )
    own = ", ".join(sorted(one.slug for one in memberships))
    if organization is None:
        if len(memberships) > 1:
            raise Forbidden(f"You are a member of several organizations: {own}. Name one in the header X-Organization.")
        return memberships[0].principal
    for one in memberships:
        if organization.lower() in {one.slug, one.organization_id}:
            return one.principal
    raise Forbidden(f"X-Organization names no organization that you are a member of. Yours: {own}.")


@asynccontextmanager
async def opened(
    issuers: Sequence[OidcIssuer], local: LocalIssuer | None, directory: Directory
) -> AsyncIterator[SignIn]:
    """Sign-in by the providers of the settings and the local issuer."""
    # Not following redirects: where keys come from is for the discovery document alone to say.
    async with httpx.AsyncClient(timeout=5.0, follow_redirects=False, verify=certificates()) as http:
        keys = {one.issuer: ProviderKeys(one.issuer, http) for one in issuers}
        trusted = [
            Trusted(
                issuer=one.issuer,
                audience=one.audience,
                algorithms=one.algorithms,
                email_claim=one.email_claim,
                keys=keys[one.issuer],
            )
            for one in issuers
        ]
        if local:
            trusted.append(local.trusted())
        flows = [CodeFlow(one, keys[one.issuer], http) for one in issuers]
        yield SignIn(Tokens(trusted), directory, code_flows=flows)
