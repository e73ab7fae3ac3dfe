import pytest

from tests.clock import five_seconds_later
from tests.tenants import Tenant, client, created

pytestmark = pytest.mark.integration


@pytest.fixture
def keys(acme: Tenant) -> str:
    """The path of the environment's worker keys."""
    return f"/environments/{acme.environment['id']}/worker-keys"


async def test_worker_keys_are_listed_without_the_keys_themselves(acme: Tenant, keys: str) -> None:
    response = await acme.client.get(keys)

    (found,) = response.json()
    assert found.items() >= {"name": "worker-1", "created_by": "api_key:tests", "hint": acme.worker_key[-4:]}.items()
    assert acme.worker_key not in response.text


async def test_a_revoked_worker_key_stops_within_five_seconds(
    acme: Tenant, keys: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    execution = await acme.start()
    (found,) = (await acme.client.get(keys)).json()
    revoked = await acme.client.delete(f"{keys}/{found['id']}")
    five_seconds_later(monkeypatch)

    response = await acme.worker.post(f"/worker/executions/{execution['id']}/claim", json={"worker": "x"})

    assert [revoked.status_code, response.status_code] == [204, 401]


async def test_a_rotated_worker_key_works_on_for_its_overlap(acme: Tenant, keys: str, api_url: str) -> None:
    first, second = await acme.start(), await acme.start()
    (old,) = (await acme.client.get(keys)).json()

    new = await created(acme.client, f"{keys}/{old['id']}/rotate", {"overlap_seconds": 60})

    await acme.claim(first["id"])
    async with client(api_url, new["key"]) as worker:
        claimed = await worker.post(f"/worker/executions/{second['id']}/claim", json={"worker": "x"})
    assert claimed.status_code == 200
    assert (await acme.client.get(f"{keys}/{old['id']}")).json()["expires_at"] is not None
