"""Environments of one organization that must be as far apart in Prefect as those of two."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from uuid import uuid4

from deployments.orchestrator import Queue
from tests.prefect_stage import Side, Stage, plant
from tests.tenants import JOINING, client, created


@asynccontextmanager
async def neighbour(stage: Stage, of: Side, *, project: dict[str, Any], slug: str) -> AsyncIterator[Side]:
    """Another environment of the organization of a side: a worker, an execution, and everything there is in Prefect."""
    member = of.tenant.client
    environment = await created(
        member,
        "/environments",
        {
            "name": slug,
            "slug": slug,
            "project_id": project["id"],
            "llm_override": {"provider": "scripted", "model": "script"},
        },
    )
    work_pool = environment["work_pool"]
    key = await created(member, f"/environments/{environment['id']}/worker-keys", {"name": slug})
    agent = await created(
        member,
        "/agents",
        {
            "name": slug,
            "environment_id": environment["id"],
            "llm_config": {"provider": "scripted", "model": "script"},
        },
    )
    async with client(stage.api_url, key["key"]) as joining:
        session = await created(joining, f"/work-pools/{work_pool}/start", JOINING)
    async with client(stage.api_url, session["session_token"]) as worker:
        tenant = replace(
            of.tenant,
            worker=worker,
            worker_key=key["key"],
            session=session,
            project=project,
            environment=environment,
            agent=agent,
        )
        await stage.orchestrator.ensure_environment(work_pool, [Queue("default")])
        unfinished = Side(tenant, session["session_token"], "", {"work_pool": work_pool}, f"canary-{uuid4().hex}")
        execution_id, flow_run_id = await stage.run(unfinished)
        claim = await tenant.claim(execution_id)
        ids = await plant(stage.prefect, work_pool, flow_run_id, unfinished.canary)
        yield replace(unfinished, execution_token=claim["execution_token"], ids=ids | {"execution_id": execution_id})
