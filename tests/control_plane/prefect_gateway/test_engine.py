"""A whole flow run by Prefect's own engine and client, which know nothing but the gateway."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.prefect_stage import Stage

pytestmark = pytest.mark.journey


async def run_with(token: str, stage: Stage, home: Path, *arguments: str) -> str:
    """Run `walking.py` with a credential; what it printed."""
    environment = os.environ | {
        "PREFECT_API_URL": stage.gateway_url,
        "PREFECT_API_KEY": token,
        "PREFECT_CLIENT_CUSTOM_HEADERS": json.dumps({"Authorization": f"Bearer {token}"}),
        "PREFECT_HOME": str(home),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        Path(__file__).with_name("walking.py"),
        *arguments,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    printed, _ = await process.communicate()
    assert process.returncode == 0, printed.decode()
    return printed.decode()


async def recorded_task_runs(stage: Stage, flow_run_id: str) -> list[dict[str, Any]]:
    """Those of a flow run, once Prefect has written down the end of one: it does so some time after it has heard."""
    async with asyncio.timeout(30):
        while True:
            body = {"flow_runs": {"id": {"any_": [flow_run_id]}}}
            found: list[dict[str, Any]] = (await stage.prefect.post("/task_runs/filter", json=body)).json()
            if any(run["state_type"] == "COMPLETED" for run in found):
                return found


async def test_a_flow_runs_with_tasks_retries_and_logs(stage: Stage, tmp_path: Path) -> None:
    execution_id, flow_run_id = await stage.run(stage.acme)
    claim = await stage.acme.tenant.claim(execution_id)

    printed = await run_with(claim["execution_token"], stage, tmp_path, flow_run_id, execution_id)

    [recorded] = await recorded_task_runs(stage, flow_run_id)
    ended = (await stage.prefect.get(f"/flow_runs/{flow_run_id}")).json()
    logs = (await stage.prefect.post("/logs/filter", json={"logs": {"flow_run_id": {"any_": [flow_run_id]}}})).json()
    assert ended["state_type"] == "COMPLETED"
    assert (recorded["name"][:7], recorded["run_count"]) == ("stumble", 2)
    assert f"walking for {execution_id}" in [line["message"] for line in logs]
    assert "Unable to" not in printed
