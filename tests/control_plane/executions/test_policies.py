"""Which policies decide over an execution: those its agent names and all that are bound to where it is."""

from typing import Any

import httpx
import psycopg
import pytest

from tests.conftest import TestDatabase
from tests.tenants import Tenant, client, created

pytestmark = pytest.mark.integration


def module(name: str) -> str:
    return f'package {name}\n\nimport rego.v1\n\ndeny contains "no" if false\n'


def frozen(test_database: TestDatabase, execution: dict[str, Any]) -> list[str]:
    """The names of the policies in an execution's plan."""
    with psycopg.connect(test_database.superuser_url) as connection:
        row = connection.execute("SELECT plan->'policies' FROM executions WHERE id = %s", [execution["id"]]).fetchone()
    assert row is not None
    return [policy["name"] for policy in row[0]]


async def bound(http: httpx.AsyncClient, name: str, scope: str, **place: str) -> None:
    """A new policy of that name, bound."""
    await created(http, "/policies", {"name": name, "module": module(name)})
    await created(http, "/policy-bindings", {"policy": name, "scope": scope} | place)


async def second_agent(tenant: Tenant, *, environment_id: str) -> dict[str, Any]:
    body = {"name": "Second", "environment_id": environment_id, "llm_config": tenant.agent["llm_config"]}
    return await created(tenant.client, "/agents", body)


async def started(tenant: Tenant, agent: dict[str, Any]) -> dict[str, Any]:
    return await created(tenant.client, f"/agents/{agent['id']}/execute", {"prompt": "hello"})


async def test_what_is_bound_anywhere_above_an_agent_decides_after_what_it_names(
    acme: Tenant, test_database: TestDatabase
) -> None:
    await bound(acme.client, "d_organization", "organization")
    await bound(acme.client, "c_project", "project", project_id=acme.project["id"])
    await bound(acme.client, "b_environment", "environment", environment_id=acme.environment["id"])
    await bound(acme.client, "a_agent", "agent", agent_id=acme.agent["id"])

    execution = await acme.start()

    assert frozen(test_database, execution) == [
        "no_destructive_tools",
        "a_agent",
        "b_environment",
        "c_project",
        "d_organization",
    ]


async def test_a_policy_that_is_named_and_bound_more_than_once_decides_once(
    acme: Tenant, test_database: TestDatabase
) -> None:
    await created(acme.client, "/policy-bindings", {"policy": "no_destructive_tools", "scope": "organization"})
    place = {"scope": "agent", "agent_id": acme.agent["id"]}
    await created(acme.client, "/policy-bindings", {"policy": "no_destructive_tools"} | place)

    execution = await acme.start()

    assert frozen(test_database, execution) == ["no_destructive_tools"]


async def test_what_is_bound_elsewhere_decides_nothing_here(acme: Tenant, test_database: TestDatabase) -> None:
    project = await created(acme.client, "/projects", {"name": "Bank", "slug": "bank"})
    environment = await created(
        acme.client, "/environments", {"name": "Live", "slug": "live", "project_id": project["id"]}
    )
    agent = await second_agent(acme, environment_id=environment["id"])
    await bound(acme.client, "other_project", "project", project_id=acme.project["id"])
    await bound(acme.client, "other_environment", "environment", environment_id=acme.environment["id"])
    await bound(acme.client, "other_agent", "agent", agent_id=acme.agent["id"])

    execution = await started(acme, agent)

    assert frozen(test_database, execution) == []


async def test_what_is_bound_to_one_agent_or_environment_leaves_its_neighbours_alone(
    acme: Tenant, test_database: TestDatabase
) -> None:
    neighbour = await created(
        acme.client, "/environments", {"name": "Live", "slug": "live", "project_id": acme.project["id"]}
    )
    await bound(acme.client, "one_agent", "agent", agent_id=acme.agent["id"])
    await bound(acme.client, "one_environment", "environment", environment_id=acme.environment["id"])
    await bound(acme.client, "whole_project", "project", project_id=acme.project["id"])

    beside = await started(acme, await second_agent(acme, environment_id=acme.environment["id"]))
    below = await started(acme, await second_agent(acme, environment_id=neighbour["id"]))

    assert frozen(test_database, beside) == ["one_environment", "whole_project"]
    assert frozen(test_database, below) == ["whole_project"]


async def test_what_another_organization_binds_decides_nothing_here(
    acme: Tenant, globex: Tenant, test_database: TestDatabase
) -> None:
    await bound(globex.client, "theirs", "organization")

    execution = await acme.start()

    assert frozen(test_database, execution) == ["no_destructive_tools"]


async def test_an_execution_keeps_what_was_bound_when_it_was_created(acme: Tenant, test_database: TestDatabase) -> None:
    binding = await created(acme.client, "/policy-bindings", {"policy": "read_only", "scope": "organization"})
    before = await acme.start()
    await acme.client.delete(f"/policy-bindings/{binding['id']}")
    after = await acme.start()

    assert frozen(test_database, before) == ["no_destructive_tools", "read_only"]
    assert frozen(test_database, after) == ["no_destructive_tools"]


async def test_somebody_who_sees_one_project_alone_does_not_get_round_what_is_bound_above_it(
    acme: Tenant, api_url: str, test_database: TestDatabase
) -> None:
    await bound(acme.client, "whole_organization", "organization")
    await bound(acme.client, "whole_project", "project", project_id=acme.project["id"])
    key = await created(
        acme.client,
        f"/organizations/{acme.organization['id']}/api-keys",
        {"name": "narrow", "role": "developer", "project_id": acme.project["id"]},
    )

    async with client(api_url, key["key"]) as developer:
        execution = await created(developer, f"/agents/{acme.agent['id']}/execute", {"prompt": "hello"})

    assert frozen(test_database, execution) == ["no_destructive_tools", "whole_organization", "whole_project"]
