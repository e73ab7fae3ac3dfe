import httpx
import pytest

from tests.tenants import Tenant, created

pytestmark = pytest.mark.integration


async def test_an_answer_that_shows_a_key_once_is_kept_by_nobody(acme: Tenant) -> None:
    path = f"/organizations/{acme.organization['id']}/api-keys"

    response = await acme.client.post(path, json={"name": "ci", "role": "viewer"})

    assert response.json()["key"]
    assert response.headers["Cache-Control"] == "no-store"


async def test_a_refusal_is_kept_by_nobody(acme: Tenant) -> None:
    response = await acme.client.get("/agents", headers={"Authorization": "Bearer nonsense"})

    assert response.status_code == 401
    assert response.headers["Cache-Control"] == "no-store"


async def test_whoever_keeps_an_answer_all_the_same_may_ask_whether_it_still_holds(acme: Tenant) -> None:
    project = await created(acme.client, "/projects", {"name": "Kept", "slug": "kept"})
    tag = (await acme.client.get(f"/projects/{project['id']}")).headers["ETag"]

    response = await acme.client.get(f"/projects/{project['id']}", headers={"If-None-Match": tag})

    assert response.status_code == 304


async def test_the_keys_of_the_local_issuer_and_health_are_left_to_the_caches(api_url: str) -> None:
    async with httpx.AsyncClient(base_url=api_url, trust_env=False) as http:
        response = await http.get("/health")

    assert "Cache-Control" not in response.headers
