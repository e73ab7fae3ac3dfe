"""Providers, aliases and the list of models over REST."""

from typing import Any

import httpx
import pytest

from tests.control_plane.model_providers.conftest import has_provider
from tests.provider.server import KEY, Provider
from tests.tenants import Tenant, client, created

pytestmark = pytest.mark.integration

PATHS = ["/model-providers", "/model-aliases"]


async def test_a_provider_comes_back_as_it_was_sent(acme: Tenant) -> None:
    await created(acme.client, "/secrets", {"name": "models", "value": KEY})
    body = {
        "name": "house",
        "kind": "openai_compatible",
        "base_url": "https://models.example.com/v1",
        "secret": "models",
        "parameters": {},
        "prices": {"llama": {"input": "0.5", "output": "1", "cached_input": None, "cache_write": None}},
        "retries": 2,
    }

    provider = await created(acme.client, "/model-providers", body)
    read = await acme.client.get(f"/model-providers/{provider['id']}")
    listed = await acme.client.get("/model-providers", params={"name": "house"})

    assert {name: provider[name] for name in body} == body
    assert read.json() == provider
    assert listed.json() == [provider]
    assert KEY not in read.text


async def test_a_provider_is_changed_and_deleted_under_its_etag(acme: Tenant, provider: Provider) -> None:
    made = await has_provider(acme, provider)
    path = f"/model-providers/{made['id']}"
    tag = (await acme.client.get(path)).headers["etag"]

    changed = await acme.client.patch(path, json={"retries": 3}, headers={"If-Match": tag})
    stale = await acme.client.patch(path, json={"retries": 4}, headers={"If-Match": tag})
    fixed = await acme.client.patch(path, json={"kind": "anthropic"})
    gone = await acme.client.delete(path)
    after = await acme.client.get(path)

    assert (changed.status_code, changed.json()["retries"]) == (200, 3)
    assert (stale.status_code, fixed.status_code) == (412, 422)
    assert (gone.status_code, after.status_code) == (204, 404)


@pytest.mark.parametrize(
    ("body", "location"),
    [
        ({"name": "scripted", "kind": "openai", "secret": "models"}, "body.name"),
        ({"name": "alias", "kind": "openai", "secret": "models"}, "body.name"),
        ({"name": "A B", "kind": "openai", "secret": "models"}, "body.name"),
        ({"name": "x", "kind": "langflow", "secret": "models"}, "body.kind"),
        ({"name": "x", "kind": "openai"}, "body.secret"),
        ({"name": "x", "kind": "openai", "secret": "nowhere"}, "body.secret"),
        ({"name": "x", "kind": "openai_compatible"}, "body.base_url"),
        ({"name": "x", "kind": "gemini", "secret": "models", "base_url": "https://x.example"}, "body.base_url"),
        ({"name": "x", "kind": "openai_compatible", "base_url": "file:///etc/passwd"}, "body.base_url"),
        ({"name": "x", "kind": "openai_compatible", "base_url": "https://me:pw@x.example"}, "body.base_url"),
        ({"name": "x", "kind": "openai", "secret": "models", "parameters": {"api_base": "x"}}, "body.parameters"),
        ({"name": "x", "kind": "bedrock", "secret": "models"}, "body.parameters"),
        (
            {
                "name": "x",
                "kind": "bedrock",
                "secret": "models",
                "parameters": {"aws_region_name": "x.evil.example/", "aws_access_key_id": "A" * 20},
            },
            "body.parameters.aws_region_name",
        ),
        ({"name": "x", "kind": "openai", "secret": "models", "retries": 6}, "body.retries"),
    ],
)
async def test_a_provider_that_could_not_work_is_refused_with_the_place(
    acme: Tenant, body: dict[str, Any], location: str
) -> None:
    await created(acme.client, "/secrets", {"name": "models", "value": KEY})

    refused = await acme.client.post("/model-providers", json=body)

    assert refused.status_code == 422
    assert [error["location"] for error in refused.json()["errors"]] == [location]


@pytest.mark.parametrize(
    "body",
    [
        {"name": "fast", "models": []},
        {"name": "fast", "models": ["gpt-4o"]},
        {"name": "fast", "models": ["alias/other"]},
        {"name": "fast", "models": ["openai/x"], "fallback_on": ["whenever"]},
        {"name": "fast", "models": ["openai/x"] * 9},
    ],
)
async def test_an_alias_that_could_not_work_is_refused(acme: Tenant, body: dict[str, Any]) -> None:
    refused = await acme.client.post("/model-aliases", json=body)

    assert refused.status_code == 422


async def test_an_alias_is_changed_and_its_name_is_taken(acme: Tenant) -> None:
    alias = await created(acme.client, "/model-aliases", {"name": "fast", "models": ["openai/a"]})

    again = await acme.client.post("/model-aliases", json={"name": "fast", "models": ["openai/b"]})
    changed = await acme.client.patch(f"/model-aliases/{alias['id']}", json={"models": ["openai/b"]})

    assert alias["fallback_on"] == ["rate_limited", "overloaded", "unavailable", "timeout"]
    assert again.status_code == 409
    assert changed.json()["models"] == ["openai/b"]


async def test_the_models_that_agents_may_name_are_listed(acme: Tenant, provider: Provider) -> None:
    await has_provider(
        acme, provider, name="house", kind="openai_compatible", prices={"llama": {"input": 1, "output": 1}}
    )
    await has_provider(acme, provider, name="openai", kind="openai")
    await created(acme.client, "/model-aliases", {"name": "fast", "models": ["house/llama"]})

    listed = (await acme.client.get("/models")).json()

    by_id = {model["id"]: model for model in listed}
    assert [model["id"] for model in listed][:3] == ["scripted/assistant", "scripted/script", "alias/fast"]
    assert by_id["alias/fast"]["models"] == ["house/llama"]
    assert by_id["house/llama"]["source"] == "provider"
    assert by_id["openai/gpt-4o"]["source"] == "provider"


@pytest.mark.parametrize("path", PATHS)
async def test_developers_read_and_only_admins_write(acme: Tenant, api_url: str, path: str) -> None:
    keys = f"/organizations/{acme.organization['id']}/api-keys"
    issued = await created(acme.client, keys, {"name": "dev", "role": "developer"})

    async with client(api_url, issued["key"]) as developer:
        read = await developer.get(path)
        written = await developer.post(path, json=_body(path))

    assert (read.status_code, written.status_code) == (200, 403)


@pytest.mark.parametrize("path", PATHS)
async def test_neither_a_worker_nor_an_execution_sees_them(acme: Tenant, path: str, api_url: str) -> None:
    execution = await acme.start()
    claim = await acme.claim(execution["id"])

    async with client(api_url, claim["execution_token"]) as calling:
        answers: list[httpx.Response] = [await calling.get(path), await acme.worker.get(path)]

    assert [answer.status_code for answer in answers] == [403, 403]


def _body(path: str) -> dict[str, Any]:
    if path == "/model-aliases":
        return {"name": "fast", "models": ["openai/a"]}
    return {"name": "house", "kind": "openai_compatible", "base_url": "https://models.example.com/v1"}
