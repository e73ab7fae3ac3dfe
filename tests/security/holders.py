"""Everybody who could try something: credentials that count for something, and credentials that count for nothing."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import httpx

from control_plane.auth.local_issuer import LocalIssuer
from control_plane.auth.permissions import EXECUTION, IN_PROJECTS, MEMBER, OPERATOR, WORKER, Permission
from control_plane.auth.roles import BUILT_IN
from tests.conftest import TestDatabase
from tests.security.attempts import Canaries
from tests.security.belongings import RUNNING, Place
from tests.tenants import OPERATOR_KEY, created

Headers = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Parties:
    """An organization with two projects, and another organization."""

    acme: Place
    shop: Place
    bank: Place
    globex: Place


@dataclass(frozen=True, slots=True)
class Holder:
    """Somebody with a credential that counts: what they may do, what is theirs, what isn't and must not be seen."""

    headers: Headers
    may: frozenset[Permission]
    own: Place
    foreign: Sequence[Place]
    canaries: Canaries

    def opens(self, permission: Permission | None) -> bool:
        """Whether the credential is let in to an operation that names this permission."""
        return permission is None or permission in self.may


async def holders(
    owner: httpx.AsyncClient,
    operator: httpx.AsyncClient,
    parties: Parties,
    *,
    issuer: LocalIssuer,
    seen: Iterable[str],
    unseen: Iterable[str],
) -> dict[str, Holder]:
    """By what they are. `seen` and `unseen` are all rows of the one and of the other organization."""
    shop, bank, globex = parties.acme.joined(parties.shop), parties.acme.joined(parties.bank), parties.globex
    canaries = Canaries.of([*unseen, *globex.keys.values(), *globex.etags.values()], {globex.marker}).without(seen)
    of_bank = canaries.together(Canaries.in_place(parties.bank))
    of_shop = canaries.together(Canaries.in_place(parties.shop))
    running = shop.values["execution_id"][RUNNING]
    siblings = Place(shop.marker, {"execution_id": [one for one in shop.values["execution_id"] if one != running]})
    claimed = replace(shop, values={**shop.values, "execution_id": [running]})
    vacant = await created(operator, "/organizations", {"name": "Vacant", "slug": "vacant"})
    keys = f"/organizations/{shop.values['organization_id'][0]}/api-keys"
    narrow = {"name": "narrow", "role": "admin", "project_id": bank.values["project_id"][0]}
    narrow_key = (await created(owner, keys, narrow))["key"]
    signed = issuer.issue(shop.values["member_name"][0], lifetime=timedelta(hours=1))
    return {
        "an owner's key": Holder(_bearer(shop.keys["owner"]), MEMBER, shop, [globex], canaries),
        "an owner's sign-in token": Holder(
            _bearer(signed) | {"X-Organization": shop.values["organization_slug"][0]}, MEMBER, shop, [globex], canaries
        ),
        "the admin of another project": Holder(
            _bearer(narrow_key),
            IN_PROJECTS & BUILT_IN["admin"].permissions,
            bank,
            [parties.shop, globex],
            of_shop,
        ),
        "a worker key": Holder(_bearer(shop.keys["worker 1"]), WORKER, shop, [parties.bank, globex], of_bank),
        "an execution token": Holder(
            _bearer(shop.keys["execution"]),
            EXECUTION,
            claimed,
            [siblings, parties.bank, globex],
            of_bank.together(Canaries.in_place(siblings, words=set())),
        ),
        "the operator": Holder(
            _bearer(OPERATOR_KEY), OPERATOR, Place("vacant", {"organization_id": [vacant["id"]]}), [], canaries
        ),
        "a member of another organization than named": Holder(
            _bearer(signed) | {"X-Organization": globex.values["organization_slug"][0]}, frozenset(), shop, [], canaries
        ),
        "a member who names no organization there is": Holder(
            _bearer(signed) | {"X-Organization": "nowhere"}, frozenset(), shop, [], canaries
        ),
        "somebody who is no member": Holder(
            _bearer(issuer.issue("stranger", lifetime=timedelta(hours=1))), frozenset(), shop, [], canaries
        ),
    }


async def dead_credentials(
    owner: httpx.AsyncClient, parties: Parties, *, issuer: LocalIssuer, database: TestDatabase
) -> dict[str, Headers]:
    """By what they are."""
    organization = f"/organizations/{parties.acme.values['organization_id'][0]}"
    owners = {"name": "dead", "role": "owner"}
    revoked = await created(owner, f"{organization}/api-keys", owners)
    await owner.delete(f"{organization}/api-keys/{revoked['id']}")
    expired = await created(owner, f"{organization}/api-keys", owners)
    account = await created(owner, f"{organization}/service-accounts", {"name": "dead", "grants": [{"role": "admin"}]})
    of_account = {"name": "dead", "service_account_id": account["id"]}
    disabled = await created(owner, f"{organization}/api-keys", of_account)
    await owner.patch(f"{organization}/service-accounts/{account['id']}", json={"disabled": True})
    past = "UPDATE credentials SET expires_at = clock_timestamp() - interval '1 hour' WHERE"
    await database.change(f"{past} id = %s", expired["id"])
    await database.change(f"{past} execution_id = %s", parties.shop.values["execution_id"][0])
    signed = issuer.issue(parties.acme.values["member_name"][0], lifetime=timedelta(hours=-1))
    return {
        "no credential": {},
        "a key that nobody issued": _bearer("cp_key_" + "x" * 43),
        "a revoked key": _bearer(revoked["key"]),
        "an expired key": _bearer(expired["key"]),
        "the key of a disabled service account": _bearer(disabled["key"]),
        "an expired sign-in token": _bearer(signed),
        "an expired execution token": _bearer(parties.shop.keys["ended execution"]),
    }


def _bearer(credential: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {credential}"}
