"""A real Prefect server behind a real API server, and two organizations that have something of everything in it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest
from prefect.client.base import PrefectHttpxAsyncClient
from psycopg import sql
from tenacity import retry, retry_if_result, stop_after_attempt, wait_fixed

from control_plane.embedded.data_folder import DataFolder
from control_plane.embedded.postgres import DATABASE, LOGIN, OWNER, Postgres
from control_plane.embedded.prefect_server import PrefectServer
from control_plane.settings import Settings
from deployments.orchestrator import Queue, RunRequest
from deployments.prefect_orchestrator import PrefectOrchestrator
from tests.orchestrator import FakeOrchestrator
from tests.serving import api_server
from tests.tenants import ENCRYPTION_KEY, JOINING, OPERATOR_KEY, Tenant, client, create_tenant, created

_NOW = "2026-01-02T03:04:05Z"


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    """A Prefect server behind a password."""
    folder: Path = tmp_path_factory.mktemp("prefect")
    server = PrefectServer.start(DataFolder(folder))
    try:
        server.wait()
        yield server
    finally:
        server.process.stop()


def prefect_api(server: PrefectServer) -> httpx.AsyncClient:
    """Prefect's own API with its password.

    Asks again as Prefect's clients do: a server on SQLite that finds its file locked answers 503.
    """
    user, _, password = server.auth_string.partition(":")
    return PrefectHttpxAsyncClient(
        base_url=server.api_url, auth=(user, password), timeout=30, trust_env=False, raise_on_all_errors=False
    )


@dataclass(frozen=True, slots=True)
class Side:
    """A tenant, its worker's session and an execution token, and the ids of what it has in Prefect by their names.

    `canary` stands in everything that it has there and in nothing that anybody asks for.
    """

    tenant: Tenant
    session_token: str
    execution_token: str
    ids: dict[str, str]
    canary: str

    def through(self, stage: "Stage", token: str | None = None) -> httpx.AsyncClient:
        """The gateway with the session's token, or with another."""
        return stage.through(token or self.session_token)


@dataclass(frozen=True, slots=True)
class Stage:
    """`prefect` goes to Prefect itself with its password."""

    api_url: str
    prefect: httpx.AsyncClient
    orchestrator: PrefectOrchestrator
    acme: Side
    globex: Side

    @property
    def gateway_url(self) -> str:
        return f"{self.api_url}/api/v1/prefect/api"

    @property
    def socket_url(self) -> str:
        return self.gateway_url.replace("http", "ws", 1)

    def through(self, token: str) -> httpx.AsyncClient:
        """The gateway with a credential."""
        return httpx.AsyncClient(
            base_url=self.gateway_url, headers={"Authorization": f"Bearer {token}"}, timeout=30, trust_env=False
        )

    async def run(self, side: Side) -> tuple[str, str]:
        """A new execution of a tenant and its flow run: both ids."""
        return await _run(side.tenant, self.orchestrator)

    async def joined(self, side: Side, **request: Any) -> dict[str, Any]:
        """Another session of a worker of a tenant."""
        async with client(self.api_url, side.tenant.worker_key) as http:
            return await created(http, f"/work-pools/{side.ids['work_pool']}/start", JOINING | request)

    async def refused_within(self, http: httpx.AsyncClient, path: str, *, seconds: float) -> bool:
        """Whether a path answers 401 before the time is over. Asks again and again."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while (await http.get(path)).status_code != 401:
                    pass
                return True
        return False

    async def recorded(self, path: str) -> dict[str, Any]:
        """What Prefect says about something that it has heard of and is going to write down."""
        async with asyncio.timeout(30):
            while (response := await self.prefect.get(path)).status_code == 404:
                pass
        found: dict[str, Any] = response.raise_for_status().json()
        return found

    async def recorded_event(self, event: dict[str, Any]) -> None:
        """Tell Prefect an event; it is written down when this returns."""
        (await self.prefect.post("/events", json=[event])).raise_for_status()
        asked = {"filter": {"id": {"id": [event["id"]]}}}
        async with asyncio.timeout(30):
            while (await self.prefect.post("/events/filter", json=asked)).json()["total"] == 0:
                pass

    async def cancel(self, flow_run_id: str) -> None:
        """Cancel a flow run that is running; one that isn't would be cancelled without a word to anybody."""
        path = f"/flow_runs/{flow_run_id}/set_state"
        running = await self.prefect.post(path, json={"state": {"type": "RUNNING"}, "force": True})
        cancelling = await self.prefect.post(path, json={"state": {"type": "CANCELLING"}})
        assert [running.json()["status"], cancelling.json()["status"]] == ["ACCEPT", "ACCEPT"]

    async def known(self, side: Side) -> dict[str, Any]:
        """What Prefect knows about things that must not change."""
        ids = side.ids
        paths = {
            "flow run": f"/flow_runs/{ids['flow_run_id']}",
            "task run": f"/task_runs/{ids['task_run_id']}",
            "pool": f"/work_pools/{ids['work_pool']}",
            "queue": f"/work_queues/{ids['work_queue_id']}",
            "deployment": f"/deployments/{ids['deployment_id']}",
            "block": f"/block_documents/{ids['block_document_id']}?include_secrets=true",
            "variable": f"/variables/{ids['variable_id']}",
            "artifact": f"/artifacts/{ids['artifact_id']}",
            "limit": f"/v2/concurrency_limits/{ids['limit_id']}",
        }
        found = {name: (await self.prefect.get(path)).raise_for_status().json() for name, path in paths.items()}
        for moving in ("estimated_run_time", "estimated_start_time_delta"):
            found["flow run"].pop(moving)
            found["task run"].pop(moving)
        logs = {"logs": {"flow_run_id": {"any_": [ids["flow_run_id"]]}}}
        found["logs"] = (await self.prefect.post("/logs/filter", json=logs)).raise_for_status().json()
        return found


@pytest.fixture(scope="session")
async def stage(postgres: Postgres, prefect_server: PrefectServer, _litellm: None) -> AsyncIterator[Stage]:
    """One for all tests that leave what is there as it is, or make what they change themselves."""
    async with AsyncExitStack() as stack:
        settings = Settings(
            database_url=_new_database(postgres),
            secret_key="a-secret-key-of-the-tests-0123456789",
            operator_key=OPERATOR_KEY,
            encryption_keys=ENCRYPTION_KEY,
            rate_limit=0,
            prefect_api_url=prefect_server.api_url,
            prefect_auth_string=prefect_server.auth_string,
            lease=timedelta(hours=1),  # nobody renews what was claimed
        )
        api_url = await stack.enter_async_context(api_server(settings, FakeOrchestrator()))
        prefect = await stack.enter_async_context(prefect_api(prefect_server))
        orchestrator = PrefectOrchestrator(
            api_url=prefect_server.api_url, ui_url="", auth_string=prefect_server.auth_string
        )
        stack.push_async_callback(orchestrator.aclose)
        sides = [
            await stack.enter_async_context(_side(api_url, prefect, orchestrator, slug)) for slug in ("acme", "globex")
        ]
        yield Stage(api_url, prefect, orchestrator, *sides)


def _new_database(server: Postgres) -> str:
    name = f"gateway_{uuid4().hex}"
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {}").format(
                sql.Identifier(name), sql.Identifier(DATABASE), sql.Identifier(OWNER)
            )
        )
    return server.url(login=LOGIN, password="only-on-loopback", database=name)


@asynccontextmanager
async def _side(
    api_url: str, prefect: httpx.AsyncClient, orchestrator: PrefectOrchestrator, slug: str
) -> AsyncIterator[Side]:
    async with create_tenant(api_url, slug) as tenant:
        await orchestrator.ensure_environment(tenant.environment["work_pool"], [Queue("default")])
        execution_id, flow_run_id = await _run(tenant, orchestrator)
        claim = await tenant.claim(execution_id)
        canary = f"canary-{uuid4().hex}"
        ids = await plant(prefect, tenant.environment["work_pool"], flow_run_id, canary)
        yield Side(
            tenant,
            tenant.session["session_token"],
            claim["execution_token"],
            ids | {"execution_id": execution_id},
            canary,
        )


async def _run(tenant: Tenant, orchestrator: PrefectOrchestrator) -> tuple[str, str]:
    execution = await tenant.start()
    request = RunRequest(execution["id"], tenant.environment["work_pool"])
    return execution["id"], str(await orchestrator.start(request))


def _busy(response: httpx.Response) -> bool:
    # Prefect's SQLite has one writer; on a slow machine its own services make others wait for too long.
    return response.status_code == 503


async def plant(prefect: httpx.AsyncClient, work_pool: str, flow_run_id: str, canary: str) -> dict[str, str]:
    """Put something of everything into Prefect for a work pool; the ids by their names."""

    @retry(retry=retry_if_result(_busy), stop=stop_after_attempt(20), wait=wait_fixed(0.25))
    async def asked(method: str, path: str, body: Any) -> httpx.Response:
        return await prefect.request(method, path, json=body)

    async def made(method: str, path: str, body: Any = None) -> Any:
        response = await asked(method, path, body)
        assert response.is_success, f"{method} {path}: {response.text}"
        return response.json() if response.content else None

    # Prefect itself changes a flow run that waits for too long.
    await made("POST", f"/flow_runs/{flow_run_id}/set_state", {"state": {"type": "RUNNING"}, "force": True})
    run = await made("GET", f"/flow_runs/{flow_run_id}")
    pool = await made("GET", f"/work_pools/{work_pool}")
    state = {"type": "RUNNING", "name": "Running", "message": canary, "state_details": {}}
    task_run = await made(
        "POST",
        "/task_runs/",
        {"flow_run_id": flow_run_id, "task_key": canary, "dynamic_key": "0", "name": canary, "state": state},
    )
    await made(
        "POST",
        "/logs/",
        [{"name": "test", "level": 20, "message": canary, "timestamp": _NOW, "flow_run_id": flow_run_id}],
    )
    await made("POST", f"/flow_runs/{flow_run_id}/input", {"key": "canary", "value": canary})
    logs = await made("POST", "/logs/filter", {"logs": {"flow_run_id": {"any_": [flow_run_id]}}})
    block_type = await made("POST", "/block_types/", {"name": f"Type {work_pool}", "slug": f"type-{work_pool}"})
    block_schema = await made(
        "POST", "/block_schemas/", {"fields": {"title": work_pool}, "block_type_id": block_type["id"]}
    )
    block = await made(
        "POST",
        "/block_documents/",
        {
            "name": work_pool,
            "data": {"secret": canary},
            "block_type_id": block_type["id"],
            "block_schema_id": block_schema["id"],
        },
    )
    variable = await made("POST", "/variables/", {"name": work_pool.replace("-", "_"), "value": canary})
    artifact = await made(
        "POST", "/artifacts/", {"key": work_pool, "type": "text", "data": canary, "flow_run_id": flow_run_id}
    )
    limit = await made("POST", "/v2/concurrency_limits/", {"name": f"limit-{work_pool}", "limit": 1})
    tag_limit = await made("POST", "/concurrency_limits/", {"tag": f"tag-{work_pool}", "concurrency_limit": 1})
    event_id = str(uuid4())
    event = {
        "id": event_id,
        "occurred": run["created"],
        "event": canary,
        "resource": {"prefect.resource.id": f"prefect.flow-run.{flow_run_id}"},
        "related": [],
        "payload": {},
    }
    await made("POST", "/events", [event])
    await made("POST", f"/work_pools/{work_pool}/workers/heartbeat", {"name": canary})
    return {
        "work_pool": work_pool,
        "work_pool_id": pool["id"],
        "work_queue_id": run["work_queue_id"],
        "flow_run_id": flow_run_id,
        "flow_run_state_id": run["state_id"],
        "deployment_id": run["deployment_id"],
        "task_run_id": task_run["id"],
        "task_run_state_id": task_run["state_id"],
        "log_id": logs[0]["id"],
        "block_type_id": block_type["id"],
        "block_type_slug": f"type-{work_pool}",
        "block_schema_id": block_schema["id"],
        "block_schema_checksum": block_schema["checksum"],
        "block_document_id": block["id"],
        "variable_id": variable["id"],
        "variable_name": work_pool.replace("-", "_"),
        "artifact_id": artifact["id"],
        "limit_id": limit["id"],
        "limit_name": f"limit-{work_pool}",
        "tag_limit_id": tag_limit["id"],
        "event_id": event_id,
    }
