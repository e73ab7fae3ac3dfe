import hashlib
import json
from base64 import b64encode
from typing import Any

import httpx
import pytest

from control_plane.artifacts import service as artifacts
from control_plane.settings import Settings
from tests.tenants import Tenant
from tests.worker import Claimed, claimed

pytestmark = pytest.mark.integration

NAME = 'söme "file"\r\n.txt'
CONTENT = b"<script>alert('all of it')</script>\x00\xff"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """As everywhere, with room for small artifacts only, but for more than other bodies may have."""
    return settings.model_copy(update={"max_artifact_bytes": 2_000_000})


async def keep(held: Claimed, key: str = "a key", content: bytes = CONTENT, **changes: Any) -> httpx.Response:
    query = {"fence": held.claim["fence"], "key": key, "name": NAME, "media_type": "text/html"} | changes
    return await held.http.post(f"{held.path}/artifacts", params=query, content=content)


async def test_an_artifact_is_kept_listed_and_downloaded(acme: Tenant, api_url: str) -> None:
    async with claimed(acme, api_url) as held:
        kept = await keep(held)
        [listed] = (await acme.client.get(f"/executions/{held.execution_id}/artifacts")).json()
        got = await acme.client.get(f"/executions/{held.execution_id}/artifacts/{listed['id']}")

    assert kept.json() == {"id": listed["id"]}
    assert (
        listed.items()
        >= {
            "execution_id": held.execution_id,
            "name": NAME,
            "media_type": "text/html",
            "size": len(CONTENT),
            "sha256": hashlib.sha256(CONTENT).hexdigest(),
        }.items()
    )
    assert got.content == CONTENT


async def test_no_browser_opens_what_a_tool_has_found(acme: Tenant, api_url: str) -> None:
    async with claimed(acme, api_url) as held:
        kept = await keep(held)
        got = await acme.client.get(f"/executions/{held.execution_id}/artifacts/{kept.json()['id']}")

    assert got.headers["Content-Type"] == "application/octet-stream"
    assert got.headers["X-Content-Type-Options"] == "nosniff"
    assert got.headers["Content-Disposition"] == "attachment; filename*=UTF-8''s%C3%B6me%20%22file%22%0D%0A.txt"
    assert "sandbox" in got.headers["Content-Security-Policy"]


async def test_keeping_it_again_changes_nothing(acme: Tenant, api_url: str) -> None:
    async with claimed(acme, api_url) as held:
        first = await keep(held)
        again = await keep(held, content=b"something else")
        got = await acme.client.get(f"/executions/{held.execution_id}/artifacts/{first.json()['id']}")

    assert again.json() == first.json()
    assert got.content == CONTENT


async def test_each_execution_keeps_its_own_and_other_tenants_do_not_notice(
    acme: Tenant, globex: Tenant, api_url: str
) -> None:
    async with (
        claimed(acme, api_url) as held,
        claimed(acme, api_url) as second,
        claimed(globex, api_url) as foreign,
    ):
        mine, *others = [(await keep(each)).json()["id"] for each in (held, second, foreign)]
        got = [
            await globex.client.get(f"/executions/{held.execution_id}/artifacts/{mine}"),
            await globex.client.get(f"/executions/{held.execution_id}/artifacts"),
            await acme.client.get(f"/executions/{second.execution_id}/artifacts/{mine}"),
        ]

    assert mine not in others
    assert [answer.status_code for answer in got] == [404, 404, 404]


async def test_a_claim_that_does_not_count_keeps_nothing(acme: Tenant, api_url: str) -> None:
    async with claimed(acme, api_url) as held:
        older = await keep(held, fence=held.claim["fence"] - 1)
        await held.finish()
        ended = await keep(held)

    assert [older.json()["code"], ended.json()["code"]] == ["lease_lost", "lease_lost"]


async def test_only_the_holder_of_the_execution_keeps_something(acme: Tenant, api_url: str) -> None:
    async with claimed(acme, api_url) as held, claimed(acme, api_url) as other:
        path = f"{held.path}/artifacts?fence=1&key=x&name=x&media_type=text/plain"
        answers = [await http.post(path, content=b"x") for http in (acme.client, acme.worker, other.http)]

    assert [answer.status_code for answer in answers] == [403, 403, 404]


async def test_an_artifact_may_be_larger_than_other_bodies_and_not_larger_than_the_setting(
    acme: Tenant, api_url: str, settings: Settings
) -> None:
    async with claimed(acme, api_url) as held:
        fits = await keep(held, "1", b"x" * settings.max_artifact_bytes)
        larger = await keep(held, "2", b"x" * (settings.max_artifact_bytes + 1))

    assert settings.max_artifact_bytes > settings.max_body_bytes
    assert (fits.status_code, larger.status_code) == (200, 413)


@pytest.mark.parametrize(("limit", "most"), [("MOST_IN_ALL", 1), ("MOST_COUNTED", 1)])
async def test_an_execution_keeps_only_so_much(
    acme: Tenant, api_url: str, settings: Settings, monkeypatch: pytest.MonkeyPatch, limit: str, most: int
) -> None:
    monkeypatch.setattr(artifacts, limit, most)
    async with claimed(acme, api_url) as held:
        first = await keep(held, "1", b"x" * settings.max_artifact_bytes)
        second = await keep(held, "2", b"x")

    assert (first.status_code, second.json()["code"]) == (200, "artifacts_full")


@pytest.mark.parametrize(
    "change", [{"name": ""}, {"name": "a\0"}, {"media_type": "text/html; charset=x"}, {"fence": ""}]
)
async def test_what_can_not_be_described_is_refused(acme: Tenant, api_url: str, change: dict[str, Any]) -> None:
    async with claimed(acme, api_url) as held:
        answer = await keep(held, **change)

    assert answer.status_code == 422


async def test_an_export_has_the_content(acme: Tenant, api_url: str) -> None:
    async with claimed(acme, api_url) as held:
        await keep(held)
    exported = (await acme.client.get(f"/organizations/{acme.organization['id']}/export")).text

    [row] = [line["row"] for line in map(json.loads, exported.splitlines()) if line["table"] == "artifacts"]

    assert row["content"] == b64encode(CONTENT).decode()
