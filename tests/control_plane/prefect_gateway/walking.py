"""What Prefect's engine does in the process of a flow run: `python walking.py <flow run id> <execution id>`."""

import asyncio
import sys
from typing import Any
from uuid import UUID

from prefect import flow, get_run_logger, task
from prefect.client.orchestration import get_client
from prefect.events.worker import EventsWorker
from prefect.flow_engine import run_flow_async
from prefect.logging.handlers import APILogHandler

tried: list[str] = []


@task(retries=1, persist_result=False)
async def stumble() -> None:
    tried.append("once")
    if len(tried) < 2:
        raise ValueError("stumbled")


@flow(name="agent-execution", persist_result=False)
async def walk(execution_id: str) -> None:
    get_run_logger().info("walking for %s", execution_id)
    await stumble()


async def main(flow_run_id: str, execution_id: str) -> None:
    async with get_client() as client:
        run = await client.read_flow_run(UUID(flow_run_id))
    await run_flow_async(walk, flow_run=run, parameters={"execution_id": execution_id})
    drained: Any = EventsWorker.drain_all()
    await drained
    await APILogHandler.aflush()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
