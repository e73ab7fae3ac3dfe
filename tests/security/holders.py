"""Everybody who could try something: credentials that count for something, and credentials that count for nothing."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import httpx

from control_plane.auth.local_issuer import LocalIssuer
from control_plane.auth.permissions import (
    EXECUTION,
    IN_PROJECTS,
    MEMBER,
    OPERATOR,
    WORKER_KEY,
    WORKER_SESSION,
    Permission,
)
from control_plane.auth.roles import BUILT_IN
from tests.conftest import TestDatabase
from tests.security.attempts import Canaries
from tests.security.belongings import CLAIMING, RUNNING, Place
from tests.tenants import JOINING, OPERATOR_KEY, created

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
    neighbours = await _neighbours(owner, shop)
    of_worker = of_bank.together(Canaries.in_place(neighbours, words=set()))
    started = shop.values["worker_id"][CLAIMING]
    of_others = Place(
        shop.marker,
        {"session_id": [*shop.values["session_id"], *(one for one in shop.values["worker_id"] if one != started)]},
    )
    join_token, redeemed = await _used_join_token(owner, shop)
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
        "a worker key": Holder(
            _bearer(shop.keys[f"worker {CLAIMING}"]),
            WORKER_KEY,
            replace(shop, values={**shop.values, "session_id": [started]}),
            [of_others, neighbours, parties.bank, globex],
            of_worker,
        ),
        "a used join token": Holder(
            _bearer(join_token),
            WORKER_KEY,
            replace(shop, values={**shop.values, "session_id": [redeemed]}),
            [of_others, neighbours, parties.bank, globex],
            of_worker,
        ),
        "a worker session": Holder(
            _bearer(shop.keys[f"session {CLAIMING}"]),
            WORKER_SESSION,
            shop,
            [neighbours, parties.bank, globex],
            of_worker,
        ),
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


async def _neighbours(owner: httpx.AsyncClient, shop: Place) -> Place:
    """What is in another environment of the same project."""
    environment_id = shop.values["environment_id"][1]
    queues = (await owner.get(f"/environments/{environment_id}/worker-queues")).raise_for_status().json()
    llm = {"provider": "scripted", "model": "script"}
    agent = await created(owner, "/agents", {"name": "next", "environment_id": environment_id, "llm_config": llm})
    execution = await created(owner, "/executions", {"agent_id": agent["id"], "input": {"message": "next"}})
    return Place(
        shop.marker,
        {
            "queue_id": [queue["id"] for queue in queues],
            "work_pool": shop.values["work_pool"][1:2],
            "execution_id": [execution["id"]],
        },
    )


async def _used_join_token(owner: httpx.AsyncClient, shop: Place) -> tuple[str, str]:
    """One, and the id of the session that was begun with it."""
    environment = f"/environments/{shop.values['environment_id'][0]}"
    token = (await created(owner, f"{environment}/join-tokens", {"name": "used"}))["token"]
    return token, (await _join(owner, shop, token))["session_id"]


async def _join(owner: httpx.AsyncClient, place: Place, credential: str) -> dict[str, Any]:
    start = f"/worker-queues/{place.values['queue_id'][0]}/start"
    response = await owner.post(start, json=JOINING, headers=_bearer(credential))
    session: dict[str, Any] = response.raise_for_status().json()
    return session


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
    workers = await _dead_of_workers(owner, parties.shop)
    await database.change(f"{past} worker_id = %s AND kind = 'worker_session'", workers.expired_session["session_id"])
    await database.change(f"{past} id = %s", workers.expired_join_token["id"])
    signed = issuer.issue(parties.acme.values["member_name"][0], lifetime=timedelta(hours=-1))
    return {
        "no credential": {},
        "a key that nobody issued": _bearer("cp_key_" + "x" * 43),
        "a revoked key": _bearer(revoked["key"]),
        "an expired key": _bearer(expired["key"]),
        "the key of a disabled service account": _bearer(disabled["key"]),
        "an expired sign-in token": _bearer(signed),
        "an expired execution token": _bearer(parties.shop.keys["ended execution"]),
        "a revoked worker session": _bearer(workers.revoked_session["session_token"]),
        "an expired worker session": _bearer(workers.expired_session["session_token"]),
        "the session of a revoked worker key": _bearer(workers.session_of_revoked_key["session_token"]),
        "the execution token of a revoked worker": _bearer(workers.token_of_revoked_worker),
        "a revoked join token": _bearer(workers.revoked_join_token["token"]),
        "an expired join token": _bearer(workers.expired_join_token["token"]),
    }


@dataclass(frozen=True, slots=True)
class _DeadOfWorkers:
    """Those called expired are still to be."""

    revoked_session: Mapping[str, Any]
    expired_session: Mapping[str, Any]
    session_of_revoked_key: Mapping[str, Any]
    token_of_revoked_worker: str
    revoked_join_token: Mapping[str, Any]
    expired_join_token: Mapping[str, Any]


async def _dead_of_workers(owner: httpx.AsyncClient, shop: Place) -> _DeadOfWorkers:
    environment, key = f"/environments/{shop.values['environment_id'][0]}", shop.keys[f"worker {CLAIMING}"]
    revoked, expired, claiming = [await _join(owner, shop, key) for _ in range(3)]
    own_key = await created(owner, f"{environment}/worker-keys", {"name": "dead"})
    of_key = await _join(owner, shop, own_key["key"])
    request = {"agent_id": shop.values["agent_id"][0], "input": {"message": "dead"}}
    claimed = (await created(owner, "/executions", request))["id"]
    claim = await owner.post(
        f"/worker/executions/{claimed}/claim", json={"worker": "dead"}, headers=_bearer(claiming["session_token"])
    )
    tokens = [await created(owner, f"{environment}/join-tokens", {"name": "dead"}) for _ in range(2)]
    for ending in (
        await owner.post(f"/workers/{revoked['session_id']}/revoke"),
        await owner.post(f"/workers/{claiming['session_id']}/revoke"),
        await owner.delete(f"{environment}/worker-keys/{own_key['id']}"),
        await owner.delete(f"{environment}/join-tokens/{tokens[0]['id']}"),
    ):
        ending.raise_for_status()
    return _DeadOfWorkers(
        revoked_session=revoked,
        expired_session=expired,
        session_of_revoked_key=of_key,
        token_of_revoked_worker=claim.raise_for_status().json()["execution_token"],
        revoked_join_token=tokens[0],
        expired_join_token=tokens[1],
    )


def _bearer(credential: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {credential}"}
