import asyncio
from typing import Any

import httpx
import pytest

from control_plane.auth.members import MemberDirectory
from control_plane.auth.oidc import Identity
from control_plane.auth.permissions import Permission
from control_plane.auth.principals import Kind
from control_plane.db import Database
from tests.tenants import Tenant, client, created

pytestmark = pytest.mark.integration

ISSUER = "https://login.example.com"
ADA = Identity(ISSUER, "ada-1", "ada@example.com")
OWNER = [{"role": "owner", "project_id": None}]


@pytest.fixture
def members(acme: Tenant) -> str:
    """The path of the organization's members."""
    return f"/organizations/{acme.organization['id']}/members"


async def join(acme: Tenant, members: str, subject: str, role: str = "owner") -> dict[str, Any]:
    body = {"name": subject, "issuer": ISSUER, "subject": subject, "grants": [{"role": role}]}
    return await created(acme.client, members, body)


async def caretaker(acme: Tenant, api_url: str) -> httpx.AsyncClient:
    """A service account that may do everything but is no owner that counts; the key that was one is gone."""
    organization = f"/organizations/{acme.organization['id']}"
    account = await created(acme.client, f"{organization}/service-accounts", {"name": "ci", "grants": OWNER})
    issued = await created(acme.client, f"{organization}/api-keys", {"name": "ci", "service_account_id": account["id"]})
    (first,) = (await acme.client.get(f"{organization}/api-keys", params={"name": "tests"})).json()
    (await acme.client.delete(f"{organization}/api-keys/{first['id']}")).raise_for_status()
    return client(api_url, issued["key"])


async def test_a_member_is_who_signs_in_with_that_issuer_and_subject(
    acme: Tenant, members: str, database: Database
) -> None:
    member = await join(acme, members, "ada-1", "developer")

    (found,) = await MemberDirectory(database).memberships(ADA)

    assert member["status"] == "active"
    assert [found.slug, found.principal.kind, found.principal.label] == ["acme", Kind.MEMBER, "member:ada-1"]
    assert str(found.principal.member_id) == member["id"]
    assert found.principal.projects_with(Permission.EXECUTIONS_START) is None


async def test_an_invitation_is_accepted_by_a_verified_address_and_belongs_to_that_person_for_good(
    acme: Tenant, members: str, database: Database
) -> None:
    body = {"name": "Ada", "email": "Ada@Example.com", "grants": [{"role": "viewer"}]}
    invited = await created(acme.client, members, body)
    directory = MemberDirectory(database)

    found = await directory.memberships(ADA)
    successor = await directory.memberships(Identity(ISSUER, "somebody-else", "ada@example.com"))
    moved = await directory.memberships(Identity(ISSUER, "ada-1", "new@example.com"))

    assert [invited["status"], len(found), len(successor), len(moved)] == ["invited", 1, 0, 1]
    assert (await acme.client.get(f"{members}/{invited['id']}")).json()["status"] == "active"


@pytest.mark.parametrize(
    "stranger",
    [
        Identity(ISSUER, "ada-2", None),
        Identity("https://evil.example.com", "ada-1", None),
        Identity(ISSUER, "x", "eve@example.com"),
    ],
)
async def test_anybody_else_is_no_member(acme: Tenant, members: str, database: Database, stranger: Identity) -> None:
    await join(acme, members, "ada-1")
    await created(acme.client, members, {"name": "Bob", "email": "bob@example.com", "grants": [{"role": "viewer"}]})

    assert await MemberDirectory(database).memberships(stranger) == []


async def test_a_member_of_two_organizations_is_found_in_both(
    acme: Tenant, globex: Tenant, members: str, database: Database
) -> None:
    await join(acme, members, "ada-1")
    await join(globex, f"/organizations/{globex.organization['id']}/members", "ada-1", "viewer")

    found = await MemberDirectory(database).memberships(ADA)

    assert {one.slug: one.principal.owner for one in found} == {"acme": True, "globex": False}


async def test_a_person_is_a_member_once(acme: Tenant, members: str) -> None:
    await join(acme, members, "ada-1")

    again = await acme.client.post(
        members, json={"name": "x", "issuer": ISSUER, "subject": "ada-1", "grants": [{"role": "viewer"}]}
    )

    assert [again.status_code, again.json()["code"]] == [409, "already_exists"]


@pytest.mark.parametrize(
    "body",
    [
        {"name": "x", "grants": [{"role": "viewer"}]},
        {"name": "x", "issuer": ISSUER, "grants": [{"role": "viewer"}]},
        {"name": "x", "email": "a@b.c", "grants": []},
        {"name": "x", "email": "not an address", "grants": [{"role": "viewer"}]},
        {"name": "x", "email": "a@b.c", "grants": [{"role": "king"}]},
    ],
)
async def test_a_member_that_is_not_well_described_is_refused(acme: Tenant, members: str, body: dict[str, Any]) -> None:
    response = await acme.client.post(members, json=body)

    assert response.status_code == 422


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("subject", "x" * 256, "too_long"),
        ("subject", "", "string_pattern_mismatch"),
        ("subject", "zo\u00eb", "string_pattern_mismatch"),
        ("subject", "x\n", "string_pattern_mismatch"),
        ("email", f"{'x' * 250}@b.cde", "too_long"),
    ],
)
async def test_nobody_is_invited_under_a_name_that_no_token_can_have(
    acme: Tenant, members: str, field: str, value: str, code: str
) -> None:
    body = {"name": "x", "issuer": ISSUER, "subject": "x", "grants": [{"role": "viewer"}]} | {field: value}

    response = await acme.client.post(members, json=body)

    (error,) = response.json()["errors"]
    assert [response.status_code, error["location"], error["code"]] == [422, f"body.{field}", code]


async def test_the_longest_subject_of_a_token_can_be_that_of_a_member(
    acme: Tenant, members: str, database: Database
) -> None:
    body = {"name": "x", "issuer": ISSUER, "subject": "x" * 255, "grants": [{"role": "viewer"}]}
    await created(acme.client, members, body)

    found = await MemberDirectory(database).memberships(Identity(ISSUER, "x" * 255, None))

    assert [one.slug for one in found] == ["acme"]


async def test_roles_are_replaced(acme: Tenant, members: str, database: Database) -> None:
    member = await join(acme, members, "ada-1", "viewer")
    grants = [{"role": "developer", "project_id": acme.project["id"]}]

    changed = await acme.client.patch(f"{members}/{member['id']}", json={"grants": grants})

    (found,) = await MemberDirectory(database).memberships(ADA)
    assert changed.json()["grants"] == grants
    assert {str(project) for project in found.principal.projects_with(Permission.AGENTS_READ) or ()} == {
        acme.project["id"]
    }


async def test_a_removed_member_is_nobody(acme: Tenant, members: str, database: Database) -> None:
    member = await join(acme, members, "ada-1")

    removed = await acme.client.delete(f"{members}/{member['id']}")

    assert removed.status_code == 204
    assert await MemberDirectory(database).memberships(ADA) == []


@pytest.mark.parametrize(
    ("method", "body"), [("DELETE", None), ("PATCH", {"grants": [{"role": "admin"}]})], ids=["removed", "demoted"]
)
async def test_the_last_owner_stays(
    acme: Tenant, members: str, api_url: str, method: str, body: dict[str, Any] | None
) -> None:
    ada, bob = await join(acme, members, "ada-1"), await join(acme, members, "bob-1")
    async with await caretaker(acme, api_url) as http:
        first = await http.request(method, f"{members}/{ada['id']}", json=body)
        last = await http.request(method, f"{members}/{bob['id']}", json=body)

        remaining = (await http.get(f"{members}/{bob['id']}")).json()

    assert first.status_code < 300
    assert [last.status_code, last.json()["code"]] == [409, "last_owner"]
    assert remaining["grants"] == OWNER


async def test_owners_who_leave_at_the_same_moment_do_not_all_go(acme: Tenant, members: str, api_url: str) -> None:
    owners = [await join(acme, members, f"owner-{number}") for number in range(4)]

    async with await caretaker(acme, api_url) as http:
        left = await asyncio.gather(*(http.delete(f"{members}/{owner['id']}") for owner in owners))

    assert sorted(response.status_code for response in left) == [204, 204, 204, 409]


async def test_who_is_only_invited_is_no_owner_yet(acme: Tenant, members: str) -> None:
    await created(acme.client, members, {"name": "Ada", "email": "a@b.c", "grants": [{"role": "owner"}]})
    keys = f"/organizations/{acme.organization['id']}/api-keys"
    (key,) = (await acme.client.get(keys)).json()

    response = await acme.client.delete(f"{keys}/{key['id']}")

    assert response.json()["code"] == "last_owner"


@pytest.mark.parametrize(
    ("method", "body"), [("DELETE", None), ("PATCH", {"name": "Mine"}), ("PATCH", {"grants": [{"role": "viewer"}]})]
)
async def test_an_admin_touches_no_owner(
    acme: Tenant, members: str, api_url: str, method: str, body: dict[str, Any] | None
) -> None:
    owner = await join(acme, members, "ada-1")
    key = await created(
        acme.client, f"/organizations/{acme.organization['id']}/api-keys", {"name": "a", "role": "admin"}
    )

    async with client(api_url, key["key"]) as admin:
        response = await admin.request(method, f"{members}/{owner['id']}", json=body)

    assert response.status_code == 403
