from typing import Any

import pytest

from tests.tenants import Tenant, created

pytestmark = pytest.mark.integration

POLICY = {"name": "own", "module": 'package own\n\nimport rego.v1\n\ndeny contains "no" if false\n'}


@pytest.fixture
async def changed(acme: Tenant) -> Tenant:
    """An agent in its third version: told to be brief, then given another name, model setting and toolset."""
    second = {"instructions": "Be brief."}
    third = {"name": "Helper", "llm_config": {"temperature": 0.5}, "toolsets": ["clock"]}
    (await acme.client.patch(f"/agents/{acme.agent['id']}", json=second)).raise_for_status()
    (await acme.client.patch(f"/agents/{acme.agent['id']}", json=third)).raise_for_status()
    return acme


def path(tenant: Tenant, below: str = "") -> str:
    return f"/agents/{tenant.agent['id']}{below}"


async def test_the_versions_are_listed_newest_first(changed: Tenant) -> None:
    response = await changed.client.get(path(changed, "/versions"))

    shown = [(found["version"], found["name"], found["instructions"]) for found in response.json()]
    assert shown == [(3, "Helper", "Be brief."), (2, "Assistant", "Be brief."), (1, "Assistant", "")]


async def test_the_versions_come_in_pages(changed: Tenant) -> None:
    first = await changed.client.get(path(changed, "/versions?limit=2"))
    second = await changed.client.get(first.links["next"]["url"])

    assert [found["version"] for found in first.json()] == [3, 2]
    assert [found["version"] for found in second.json()] == [1]
    assert "next" not in second.links


@pytest.mark.parametrize("cursor", ["bm8", "!", "MjAyNi0wMS0wMXwx"])
async def test_a_cursor_that_is_not_ours_is_refused(changed: Tenant, cursor: str) -> None:
    response = await changed.client.get(path(changed, "/versions"), params={"cursor": cursor})

    assert response.status_code == 422
    assert response.json()["errors"][0]["location"] == "query.cursor"


async def test_a_version_stays_as_it_was(changed: Tenant) -> None:
    response = await changed.client.get(path(changed, "/versions/1"))

    kept = ("name", "description", "instructions", "agent_type", "llm_config", "toolsets", "policies", "version")
    assert {field: response.json()[field] for field in kept} == {field: changed.agent[field] for field in kept}
    assert response.json()["agent_id"] == changed.agent["id"]


@pytest.mark.parametrize(("number", "status"), [(4, 404), (0, 422), (2**31, 422), ("newest", 422)])
async def test_a_version_that_is_not_there_is_not_found(changed: Tenant, number: object, status: int) -> None:
    response = await changed.client.get(path(changed, f"/versions/{number}"))

    assert response.status_code == status


async def test_a_diff_tells_each_changed_field_before_and_after(changed: Tenant) -> None:
    response = await changed.client.get(path(changed, "/versions/3/diff"), params={"against": 1})

    assert response.json() == [
        {"field": "name", "before": "Assistant", "after": "Helper"},
        {"field": "instructions", "before": "", "after": "Be brief."},
        {"field": "toolsets", "before": ["clock", "files"], "after": ["clock"]},
        {"field": "llm_config.temperature", "before": None, "after": 0.5},
    ]


async def test_a_diff_of_a_version_with_itself_is_empty(changed: Tenant) -> None:
    response = await changed.client.get(path(changed, "/versions/2/diff"), params={"against": 2})

    assert response.json() == []


async def test_a_diff_is_against_the_version_before_if_no_other_is_named(changed: Tenant) -> None:
    response = await changed.client.get(path(changed, "/versions/2/diff"))

    assert response.json() == [{"field": "instructions", "before": "", "after": "Be brief."}]


@pytest.mark.parametrize("asked", ["1/diff", "2/diff?against=9"])
async def test_a_diff_against_nothing_is_refused(changed: Tenant, asked: str) -> None:
    response = await changed.client.get(path(changed, f"/versions/{asked}"))

    assert response.status_code == 422
    assert response.json()["errors"][0]["location"] == "query.against"


async def test_going_back_makes_a_new_version_that_equals_the_old_one(changed: Tenant) -> None:
    response = await changed.client.post(path(changed, "/rollback"), json={"version": 1})

    difference = await changed.client.get(path(changed, "/versions/4/diff"), params={"against": 1})
    assert response.status_code == 200
    assert response.json()["version"] == 4
    assert response.json()["name"] == "Assistant"
    assert difference.json() == []


async def test_going_back_to_what_is_already_there_makes_no_version(changed: Tenant) -> None:
    response = await changed.client.post(path(changed, "/rollback"), json={"version": 3})

    assert response.json()["version"] == 3


@pytest.mark.parametrize("body", [{"version": 9}, {"version": 0}, {"version": "one"}, {}])
async def test_going_back_to_a_version_that_is_not_there_is_refused(changed: Tenant, body: dict[str, Any]) -> None:
    response = await changed.client.post(path(changed, "/rollback"), json=body)

    assert response.status_code == 422
    assert response.json()["errors"][0]["location"] == "body.version"


async def test_going_back_to_a_version_whose_policy_is_gone_is_refused(acme: Tenant) -> None:
    policy = await created(acme.client, "/policies", POLICY)
    (await acme.client.patch(path(acme), json={"policies": ["own"]})).raise_for_status()
    (await acme.client.patch(path(acme), json={"policies": []})).raise_for_status()
    (await acme.client.delete(f"/policies/{policy['id']}")).raise_for_status()

    response = await acme.client.post(path(acme, "/rollback"), json={"version": 2})

    assert response.status_code == 422
    assert response.json()["errors"][0]["location"] == "body.version"
    assert "own" in response.json()["detail"]
