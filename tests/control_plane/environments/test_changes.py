from typing import Any

import pytest

from tests.tenants import Tenant

pytestmark = pytest.mark.integration

SCRIPT = {"provider": "scripted", "model": "script"}


def path(tenant: Tenant) -> str:
    return f"/environments/{tenant.environment['id']}"


async def test_a_change_is_merged_and_stays(acme: Tenant) -> None:
    response = await acme.client.patch(path(acme), json={"name": "Rehearsal"})
    read = await acme.client.get(path(acme))

    # Not `status` and `updated_at`: the work pool becomes ready in the background.
    expected = {"name": "Rehearsal", "slug": "staging", "llm_override": SCRIPT}
    assert response.json().items() >= expected.items()
    assert read.json().items() >= expected.items()


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ({"model": "assistant"}, {"provider": "scripted", "model": "assistant"}),
        ({"provider": "openai", "model": "gpt"}, {"provider": "openai", "model": "gpt"}),
        ({}, SCRIPT),
        (None, None),
    ],
)
async def test_an_override_is_merged_too_and_null_removes_it(
    acme: Tenant, sent: dict[str, str] | None, kept: dict[str, str] | None
) -> None:
    response = await acme.client.patch(path(acme), json={"llm_override": sent})

    assert response.json()["llm_override"] == kept


async def test_half_an_override_is_refused_where_there_was_none(acme: Tenant) -> None:
    await acme.client.patch(path(acme), json={"llm_override": None})

    response = await acme.client.patch(path(acme), json={"llm_override": {"provider": "openai"}})

    assert response.status_code == 422
    assert response.json()["errors"][0]["location"] == "body.llm_override.model"


@pytest.mark.parametrize(
    "body",
    [
        {"name": None},
        {"slug": "rehearsal"},
        {"project_id": "00000000-0000-0000-0000-000000000000"},
        {"work_pool": "mine"},
        {"status": "ready"},
    ],
)
async def test_what_can_not_be_changed_is_refused(acme: Tenant, body: dict[str, Any]) -> None:
    response = await acme.client.patch(path(acme), json=body)

    assert response.status_code == 422
    assert [error["location"] for error in response.json()["errors"]] == [f"body.{next(iter(body))}"]


@pytest.mark.parametrize("body", [{"slug": "rehearsal"}, {"project_id": "00000000-0000-0000-0000-000000000000"}])
async def test_whoever_changes_what_never_changes_is_told_why(acme: Tenant, body: dict[str, str]) -> None:
    response = await acme.client.patch(path(acme), json=body)

    assert "never changes" in response.json()["errors"][0]["message"]
