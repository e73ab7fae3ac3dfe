import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from tests.control_plane.organizations.conftest import Tables
from tests.tenants import Tenant

pytestmark = pytest.mark.integration

Fill = Callable[[Tenant], Awaitable[None]]


def parsed(response: httpx.Response) -> list[dict[str, Any]]:
    return [json.loads(line) for line in response.text.splitlines()]


async def export(tenant: Tenant) -> httpx.Response:
    response = await tenant.client.get(f"/organizations/{tenant.organization['id']}/export")
    response.raise_for_status()
    return response


async def test_every_row_of_every_table_is_exported(acme: Tenant, globex: Tenant, fill: Fill, tables: Tables) -> None:
    await fill(acme)
    await fill(globex)

    lines = parsed(await export(acme))

    exported = [line["table"] for line in lines]
    expected = tables.count(acme.organization["id"]) | {"organizations": 1}
    assert {name: exported.count(name) for name in expected} == expected
    assert [name for name, count in expected.items() if count == 0] == []


async def test_nothing_of_another_organization_is_exported(acme: Tenant, globex: Tenant, fill: Fill) -> None:
    await fill(globex)

    response = await export(acme)

    assert acme.organization["id"] in response.text
    assert globex.organization["id"] not in response.text


async def test_what_is_exported_is_what_the_api_shows(acme: Tenant) -> None:
    lines = parsed(await export(acme))

    [project] = [line["row"] for line in lines if line["table"] == "projects"]
    assert {name: project[name] for name in ("id", "name", "slug")} == {
        name: acme.project[name] for name in ("id", "name", "slug")
    }


async def test_no_hash_and_no_secret_value_is_exported(acme: Tenant, fill: Fill) -> None:
    await fill(acme)

    lines = parsed(await export(acme))

    columns = [line["row"].keys() for line in lines if line["table"] == "secret_values"]
    hashes = [line for line in lines if "hash" in line["row"]]
    assert hashes == []
    assert columns != []
    assert set().union(*columns) & {"wrapped_key", "ciphertext"} == set()


async def test_it_is_sent_as_lines_of_json(acme: Tenant) -> None:
    response = await export(acme)

    assert response.headers["Content-Type"] == "application/x-ndjson"


async def test_the_operator_exports_nothing(acme: Tenant, operator: httpx.AsyncClient) -> None:
    response = await operator.get(f"/organizations/{acme.organization['id']}/export")

    assert response.status_code == 403
