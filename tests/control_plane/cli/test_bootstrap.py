import asyncio

import pytest

from control_plane.cli import bootstrap
from control_plane.cli.failures import Failure
from control_plane.client import Refused
from tests.tenants import OPERATOR_KEY, client

pytestmark = pytest.mark.integration


async def test_it_prints_the_key_of_the_first_owner_once(
    api_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CONTROL_PLANE_URL", api_url)
    monkeypatch.setenv("CONTROL_PLANE_OPERATOR_KEY", OPERATOR_KEY)

    await asyncio.to_thread(bootstrap.let_in, "Acme", "acme")
    key = capsys.readouterr().out.strip()

    async with client(api_url, key) as owner:
        seen = await owner.get("/organizations")
    assert [one["slug"] for one in seen.json()] == ["acme"]
    with pytest.raises(Refused, match="has an owner already"):
        await asyncio.to_thread(bootstrap.let_in, "Acme", "acme")


def test_without_the_key_of_the_operator_it_says_what_to_set() -> None:
    with pytest.raises(Failure, match="CONTROL_PLANE_OPERATOR_KEY is not set"):
        bootstrap.let_in("Acme", "acme")
