import pytest

from tests.clock import five_seconds_later
from tests.tenants import Tenant, created
from tests.worker import join

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
    acme: Tenant, keys: str, api_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (found,) = (await acme.client.get(keys)).json()
    revoked = await acme.client.delete(f"{keys}/{found['id']}")
    five_seconds_later(monkeypatch)

    response = await join(api_url, acme.worker_key, f"work-pools/{acme.environment['work_pool']}")

    assert [revoked.status_code, response.status_code] == [204, 401]


async def test_a_rotated_worker_key_works_on_for_its_overlap(acme: Tenant, keys: str, api_url: str) -> None:
    pool = f"work-pools/{acme.environment['work_pool']}"
    (old,) = (await acme.client.get(keys)).json()

    new = await created(acme.client, f"{keys}/{old['id']}/rotate", {"overlap_seconds": 60})

    by_old, by_new = await join(api_url, acme.worker_key, pool), await join(api_url, new["key"], pool)
    assert [by_old.status_code, by_new.status_code] == [201, 201]
    assert (await acme.client.get(f"{keys}/{old['id']}")).json()["expires_at"] is not None


@pytest.mark.parametrize(
    ("made", "asked", "kind"),
    [("join-tokens", "worker-keys", "worker key"), ("worker-keys", "join-tokens", "join token")],
)
async def test_a_credential_is_found_among_those_of_its_own_kind_and_environment_only(
    acme: Tenant, made: str, asked: str, kind: str
) -> None:
    body = {"name": "Production", "slug": "production", "project_id": acme.project["id"]}
    here, there = acme.environment["id"], (await created(acme.client, "/environments", body))["id"]
    found = await created(acme.client, f"/environments/{here}/{made}", {"name": "one"})

    own = await acme.client.get(f"/environments/{here}/{made}/{found['id']}")
    elsewhere = await acme.client.get(f"/environments/{there}/{made}/{found['id']}")
    of_another_kind = await acme.client.get(f"/environments/{here}/{asked}/{found['id']}")
    revoked = await acme.client.delete(f"/environments/{here}/{asked}/{found['id']}")
    lists = [
        await acme.client.get(f"/environments/{there}/{made}"),
        await acme.client.get(f"/environments/{here}/{asked}"),
    ]

    assert [own.status_code, elsewhere.status_code, of_another_kind.status_code, revoked.status_code] == [
        200,
        404,
        404,
        404,
    ]
    assert of_another_kind.json()["detail"].startswith(f"There is no {kind} ")
    assert found["id"] not in lists[0].text + lists[1].text
