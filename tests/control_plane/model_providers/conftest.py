"""Organizations with providers of their own, whose executions call models through the real API server."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from control_plane.settings import Settings
from tests.provider.server import KEY, Provider
from tests.tenants import Tenant, client, created


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """A server whose tenants may have providers on this machine, where the tests' provider is."""
    return settings.model_copy(update={"private_model_providers": True, "shared_model_keys": False})


@pytest.fixture
async def own(acme: Tenant, provider: Provider) -> dict[str, Any]:
    """A provider of acme's at the tests' provider, under the name of its kind."""
    return await has_provider(acme, provider)


async def has_provider(tenant: Tenant, provider: Provider, *, key: str = KEY, **more: Any) -> dict[str, Any]:
    """Give an organization a provider, and the secret that it names."""
    body = {"name": "openai", "kind": "openai", "base_url": provider.openai_url, "secret": "models"} | more
    stored = await tenant.client.post("/secrets", json={"name": body["secret"], "value": key})
    assert stored.status_code in {201, 409}, stored.text
    return await created(tenant.client, "/model-providers", body)


@asynccontextmanager
async def caller(tenant: Tenant, model: str) -> AsyncIterator[httpx.AsyncClient]:
    """The process of a running execution whose agent names the model."""
    provider, name = model.split("/", 1)
    patched = await tenant.client.patch(f"/environments/{tenant.environment['id']}", json={"llm_override": None})
    assert patched.status_code == 200, patched.text
    agent = {
        "name": model,
        "environment_id": tenant.environment["id"],
        "llm_config": {"provider": provider, "model": name},
    }
    made = await tenant.client.post("/agents", json=agent)
    assert made.status_code == 201, made.text
    execution = await created(
        tenant.client, "/executions", {"agent_id": made.json()["id"], "input": {"message": "Hello"}}
    )
    claim = await tenant.claim(execution["id"])
    api_url = str(tenant.client.base_url).removesuffix("/api/v1/")
    async with client(api_url, claim["execution_token"]) as calling:
        yield calling


async def ask(calling: httpx.AsyncClient, model: str, **more: Any) -> httpx.Response:
    """One chat completion."""
    body = {"model": model, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 50} | more
    return await calling.post("/llm/openai/v1/chat/completions", json=body)


async def in_every_dialect(calling: httpx.AsyncClient, model: str) -> list[httpx.Response]:
    """The same question as a chat completion, as a response and as a message."""
    messages = {"model": model, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 50}
    return [
        await calling.post("/llm/openai/v1/chat/completions", json=messages),
        await calling.post("/llm/openai/v1/responses", json={"model": model, "input": "Hello"}),
        await calling.post("/llm/anthropic/v1/messages", json=messages),
    ]
