"""Validating and evaluating, on which nothing depends."""

from typing import Any

import pytest

from tests.tenants import Tenant, created

pytestmark = pytest.mark.integration

NO_MONDAYS = """package no_mondays

import rego.v1

deny contains "not on a Monday" if input.execution.context.day == "monday"
"""
ENDLESS = "package endless\n\nimport rego.v1\n\ndeny contains x if { some x in numbers.range(1, 1000000000) }\n"
DELETING = {"name": "files_delete", "toolset": "files", "effect": "destroy", "idempotent": False, "arguments": {}}


async def test_a_module_that_can_be_used_is_valid(acme: Tenant) -> None:
    response = await acme.client.post("/policies/validate", json={"module": NO_MONDAYS})

    assert response.status_code == 200
    assert response.json() == {"valid": True, "errors": []}
    assert (await acme.client.get("/policies")).json() == []


async def test_a_module_that_can_not_be_used_is_answered_with_line_and_column(acme: Tenant) -> None:
    response = await acme.client.post("/policies/validate", json={"module": "package x\n\nallow if {"})

    assert response.status_code == 200
    assert response.json()["valid"] is False
    assert [error["line"] for error in response.json()["errors"]] == [3]
    assert response.json()["errors"][0]["message"] != ""


async def test_a_stored_policy_can_be_validated_again(acme: Tenant) -> None:
    policy = await created(acme.client, "/policies", {"name": "no_mondays", "module": NO_MONDAYS})

    response = await acme.client.post(f"/policies/{policy['id']}/validate")

    assert response.json() == {"valid": True, "errors": []}


async def test_without_an_input_the_example_is_judged(acme: Tenant) -> None:
    response = await acme.client.post("/policies/evaluate", json={"policies": ["read_only"]})

    assert response.status_code == 200
    assert response.json()["outcome"] == "allow"
    assert response.json()["reasons"] == []
    assert response.json()["duration_ms"] > 0


async def test_stored_and_given_modules_are_judged_together_each_with_its_reasons(acme: Tenant) -> None:
    await created(acme.client, "/policies", {"name": "no_mondays", "module": NO_MONDAYS})
    execution = {
        "id": acme.agent["id"],
        "requested_by": "api_key:ci",
        "message": "Clean up",
        "context": {"day": "monday"},
    }
    given = {"name": "mine", "module": NO_MONDAYS.replace("not on a Monday", "never on a Monday")}
    body = {"policies": ["no_mondays", "read_only"], "modules": [given], "input": {"execution": execution}}

    response = await acme.client.post("/policies/evaluate", json=body)

    assert response.json()["outcome"] == "deny"
    assert response.json()["reasons"] == [
        {"policy": "mine", "version": 0, "rule": "deny", "reason": "never on a Monday"},
        {"policy": "no_mondays", "version": 1, "rule": "deny", "reason": "not on a Monday"},
    ]


async def test_a_member_of_the_input_replaces_that_of_the_example(acme: Tenant) -> None:
    body = {"policies": ["read_only", "no_destructive_tools"], "input": {"tool": DELETING}}

    response = await acme.client.post("/policies/evaluate", json=body)

    assert response.json()["outcome"] == "deny"
    assert {reason["policy"] for reason in response.json()["reasons"]} == {"read_only", "no_destructive_tools"}


async def test_a_module_that_does_not_come_to_an_end_denies(acme: Tenant) -> None:
    response = await acme.client.post("/policies/evaluate", json={"modules": [{"name": "endless", "module": ENDLESS}]})

    assert response.json()["outcome"] == "deny"
    assert [reason["rule"] for reason in response.json()["reasons"]] == ["engine"]


@pytest.mark.parametrize(
    ("body", "location"),
    [
        ({}, "body"),
        ({"policies": ["no_such_policy"]}, "body.policies"),
        ({"policies": ["read_only"], "input": {"tool": {"name": "x"}}}, "body.input.tool.toolset"),
        ({"policies": ["read_only"], "input": {"tool": DELETING | {"efect": "x"}}}, "body.input.tool.efect"),
        ({"policies": ["read_only"], "input": {"weather": "fine"}}, "body.input.weather"),
        ({"policies": ["read_only"], "inputs": {}}, "body.inputs"),
    ],
)
async def test_a_dry_run_that_can_not_be_made_is_refused_with_its_place(
    acme: Tenant, body: dict[str, Any], location: str
) -> None:
    response = await acme.client.post("/policies/evaluate", json=body)

    assert response.status_code == 422
    assert location in [error["location"] for error in response.json()["errors"]]


async def test_a_policy_of_another_organization_can_not_be_asked(acme: Tenant, globex: Tenant) -> None:
    await created(globex.client, "/policies", {"name": "no_mondays", "module": NO_MONDAYS})

    response = await acme.client.post("/policies/evaluate", json={"policies": ["no_mondays"]})

    assert response.status_code == 422
