import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.serving import serving
from tests.toolsets.builtin.kubernetes.api_server import TOKEN, ApiServer
from toolsets.builtin.kubernetes import kubernetes
from toolsets.testing import call


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster with the kubeconfig for it, and `call`: a tool's short name, its arguments, and settings."""

    server: ApiServer
    kubeconfig: dict[str, Any]
    call: Callable[..., Awaitable[Any]]


def kubeconfig(server: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "staging",
        "contexts": [{"name": "staging", "context": {"cluster": "here", "user": "agent"}}],
        "clusters": [{"name": "here", "cluster": {"server": server}}],
        "users": [{"name": "agent", "user": {"token": TOKEN}}],
    }


@pytest.fixture(scope="session")
async def listening() -> AsyncIterator[tuple[ApiServer, str]]:
    server = ApiServer()
    async with serving(server, lifespan=False) as url:
        yield server, url


@pytest.fixture
def cluster(listening: tuple[ApiServer, str]) -> Cluster:
    """An empty cluster."""
    server, url = listening
    server.__init__()  # type: ignore[misc] # everything as it was at first
    config = kubeconfig(url)

    async def called(tool: str, *, settings: dict[str, Any] | None = None, **arguments: Any) -> Any:
        return await call(
            kubernetes,
            tool,
            settings={"allow_loopback": True} | (settings or {}),
            secrets={"kubeconfig": json.dumps(config)},
            idempotency_key="call-1",
            **arguments,
        )

    return Cluster(server, config, called)


def pod(name: str, **labels: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels},
        "spec": {"nodeName": "node-1"},
        "status": {"phase": "Running"},
    }


def deployment(name: str, *, image: str = "shop:1", replicas: int = 2) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "main", "image": image}]},
            },
        },
    }
