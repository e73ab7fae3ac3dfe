import asyncio
import json
import stat
from pathlib import Path

import pytest

from control_plane.cli.export import export
from control_plane.cli.failures import Failure
from tests.conftest import TestDatabase
from tests.tenants import Tenant

pytestmark = pytest.mark.integration


async def write(output: Path, *, organization: str | None) -> None:
    """The command as it runs: in a process that has no event loop of its own yet."""
    await asyncio.to_thread(export, output, organization=organization, data=output.parent)


def organizations_in(output: Path) -> list[str]:
    rows = [json.loads(line) for line in output.read_text().splitlines()]
    return [line["row"]["slug"] for line in rows if line["table"] == "organizations"]


def files_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def test_whoever_can_reach_the_database_exports_an_organization_by_its_slug(
    acme: Tenant, globex: Tenant, test_database: TestDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", test_database.url)
    output = tmp_path / "globex.jsonl"

    await write(output, organization="globex")

    assert organizations_in(output) == ["globex"]
    assert acme.organization["id"] not in output.read_text()


async def test_an_api_key_exports_its_own_organization(
    acme: Tenant, api_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONTROL_PLANE_URL", api_url)
    monkeypatch.setenv("CONTROL_PLANE_API_KEY", acme.api_key)
    output = tmp_path / "acme.jsonl"

    await write(output, organization=None)

    assert organizations_in(output) == ["acme"]


async def test_the_file_is_for_its_owner_alone(
    acme: Tenant, test_database: TestDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", test_database.url)
    output = tmp_path / "acme.jsonl"

    await write(output, organization="acme")

    assert stat.S_IMODE(output.stat().st_mode) == 0o600
    assert files_in(tmp_path) == [output]


async def test_an_export_that_fails_leaves_the_earlier_file_and_no_half_one(
    test_database: TestDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", test_database.url)
    output = tmp_path / "acme.jsonl"
    output.write_text("earlier")

    with pytest.raises(Failure, match="no organization"):
        await write(output, organization="acme")

    assert output.read_text() == "earlier"
    assert files_in(tmp_path) == [output]


async def test_an_export_by_slug_needs_a_database(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="DATABASE_URL"):
        await write(tmp_path / "acme.jsonl", organization="acme")
