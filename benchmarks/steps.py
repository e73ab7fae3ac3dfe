"""An execution on the worker that the control plane wakes, and when each step of its way to the first line was."""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from datetime import time as Time  # noqa: N812 - `time` is the module
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId

from benchmarks.running import wait_for
from control_plane.embedded.bootstrap import Tenant
from control_plane.embedded.processes import Process
from control_plane.embedded.stack import Stack
from control_plane.rest import Rest

STEPS = {
    "dispatched": "Prefect has the flow run",
    "scheduled": "that is stored",
    "claimed": "a worker was woken and has claimed it",
    "handed_over": "the worker knows",
    "running": "Prefect knows that it runs",
    "begun": "the engine has heard so",
    "first_line": "the flow's first line",
    "ended": "its end is stored",
}
"""What has happened at the end of each, in order. The time before `dispatched` begins with the answer to the caller."""


@dataclass(frozen=True, slots=True)
class Course:
    """Where executions are started, and where their steps can be read."""

    rest: Rest
    prefect: SyncPrefectClient
    worker: Process

    def run(self, body: dict[str, Any]) -> dict[str, float]:
        """Start an execution; milliseconds from accepted to the end of each step."""
        path = f"/executions/{self.rest.post('/executions', body)['id']}"
        accepted = time.time()
        execution = ended(self.rest, path)
        flow_run_id = UUID(execution["flow_run_id"])
        events = {e["data"]["status"]: e for e in self.rest.get(f"{path}/events") if e["type"] == "status"}
        logs = wait_for(lambda: self._logs(flow_run_id), "the log of the flow run")
        states = {state.type.value: state.timestamp for state in self.prefect.read_flow_run_states(flow_run_id)}
        moments = {
            "dispatched": states["SCHEDULED"],
            "scheduled": _time(events["scheduled"]),
            "claimed": _time(events["running"]),
            "handed_over": self._handed_over(execution["id"]),
            "running": states["RUNNING"],
            "begun": _first(logs, "Beginning flow run"),
            "first_line": _first(logs, f"execution {execution['id']} begins"),
            "ended": _time(events["completed"]),
        }
        return {step: (moments[step].timestamp() - accepted) * 1000 for step in STEPS}

    def _logs(self, flow_run_id: UUID) -> Mapping[str, datetime] | None:
        """When each line was logged, once the first of the flow's own is there: they come together at the end."""
        only = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[flow_run_id]))
        logs = {log.message: log.timestamp for log in self.prefect.read_logs(only, limit=200, offset=0)}
        return logs if any(message.endswith(" begins") for message in logs) else None

    def _handed_over(self, execution_id: str) -> datetime:
        text = rf"^(\d\d:\d\d:\d\d\.\d+) .*execution {execution_id} is carried out by"
        found = re.search(text, self.worker.log.read_text(), re.MULTILINE)
        if not found:
            raise RuntimeError(f"{self.worker.name} doesn't say when it has got {execution_id}")
        now = datetime.now().astimezone()  # the log has the time of day alone
        return datetime.combine(now, Time.fromisoformat(found[1]), now.tzinfo)


def warm_worker(stack: Stack, tenant: Tenant) -> Process:
    """A worker of the tenant that has its processes ready."""
    worker = stack.start_worker(tenant.environment["work_pool"], tenant.worker_key)
    worker.wait_until(lambda: "ready for executions" in worker.log.read_text(), seconds=120)
    return worker


def ended(rest: Rest, path: str) -> dict[str, Any]:
    """An execution once it has completed. Raises `RuntimeError` if it ended otherwise."""

    def look() -> dict[str, Any] | None:
        execution: dict[str, Any] = rest.get(path)
        return execution if execution["finished_at"] else None

    execution = wait_for(look, f"the end of {path}")
    if execution["status"] != "completed":
        raise RuntimeError(f"{path} ended as {execution['status']}: {execution['error']}")
    return execution


def _time(event: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(event["created_at"])


def _first(logs: Mapping[str, datetime], beginning: str) -> datetime:
    return min(moment for message, moment in logs.items() if message.startswith(beginning))
