from typing import Any

import pytest

from tests.tenants import Tenant, client, created

pytestmark = pytest.mark.integration

READER = {"name": "reader", "description": "Reads agents.", "permissions": ["agents:read", "projects:read"]}


@pytest.fixture
def roles(acme: Tenant) -> str:
    """The path of the organization's roles."""
    return f"/organizations/{acme.organization['id']}/roles"


async def test_a_custom_role_is_read_as_it_was_made_and_gives_what_it_holds(
    acme: Tenant, roles: str, api_url: str
) -> None:
    role = await created(acme.client, roles, READER)
    key = await created(acme.client, roles.replace("/roles", "/api-keys"), {"name": "reader", "role": "reader"})

    async with client(api_url, key["key"]) as reader:
        answers = [(await reader.get(path)).status_code for path in ("/agents", "/projects", "/executions")]

    assert role.items() >= READER.items()
    assert (await acme.client.get(roles)).json() == [role]
    assert answers == [200, 200, 403]


async def test_a_changed_role_is_another_for_everybody_who_has_it(acme: Tenant, roles: str) -> None:
    role = await created(acme.client, roles, READER)

    changed = await acme.client.patch(f"{roles}/{role['id']}", json={"permissions": ["executions:read"]})

    assert changed.json()["permissions"] == ["executions:read"]
    assert changed.json()["description"] == "Reads agents."


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (READER | {"name": "owner"}, 409),
        (READER | {"name": "viewer"}, 409),
        (READER | {"permissions": []}, 422),
        (READER | {"permissions": ["everything"]}, 422),
        (READER | {"permissions": ["executions:claim"]}, 422),
        (READER | {"permissions": ["organizations:create"]}, 422),
    ],
)
async def test_a_role_that_can_not_be_is_refused(acme: Tenant, roles: str, body: dict[str, Any], status: int) -> None:
    response = await acme.client.post(roles, json=body)

    assert response.status_code == status


async def test_nobody_makes_or_widens_a_role_beyond_what_they_have(acme: Tenant, roles: str, api_url: str) -> None:
    await created(acme.client, roles, {"name": "clerk", "permissions": ["roles:write", "agents:read"]})
    wide = await created(acme.client, roles, READER)
    key = await created(acme.client, roles.replace("/roles", "/api-keys"), {"name": "clerk", "role": "clerk"})

    async with client(api_url, key["key"]) as clerk:
        making = await clerk.post(roles, json=READER | {"name": "more"})
        narrowing = await clerk.patch(f"{roles}/{wide['id']}", json={"permissions": ["agents:read"]})
        own = await clerk.post(roles, json={"name": "less", "permissions": ["agents:read"]})

    assert [making.status_code, narrowing.status_code, own.status_code] == [403, 403, 201]


async def test_a_role_goes_once_nobody_has_it(acme: Tenant, roles: str) -> None:
    role = await created(acme.client, roles, READER)
    members = roles.replace("/roles", "/members")
    member = await created(acme.client, members, {"name": "A", "email": "a@b.c", "grants": [{"role": "reader"}]})

    used = await acme.client.delete(f"{roles}/{role['id']}")
    await acme.client.delete(f"{members}/{member['id']}")
    unused = await acme.client.delete(f"{roles}/{role['id']}")

    assert [used.status_code, used.json()["code"], unused.status_code] == [409, "role_in_use", 204]


async def test_the_built_in_roles_are_listed(acme: Tenant) -> None:
    response = await acme.client.get("/roles")

    names = [role["name"] for role in response.json()]
    assert names == ["owner", "admin", "operator", "developer", "viewer", "auditor"]
