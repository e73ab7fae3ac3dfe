"""Prefect as it comes: a process work pool, a worker that polls it every second, a deployment of a trivial flow."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import FlowRun

from benchmarks.running import ROOT, wait_for
from control_plane.embedded.prefect_server import client_environment
from control_plane.embedded.processes import Process
from control_plane.embedded.programs import program
from control_plane.embedded.stack import Stack

POOL = "stock"
ENTRYPOINT = "benchmarks.stock_flow:first_line"


@dataclass(frozen=True, slots=True)
class Stock:
    """A running stock worker, and the client that gives it something to do."""

    client: SyncPrefectClient
    deployment_id: UUID
    worker: Process

    def start(self) -> UUID:
        """Create a flow run; its id."""
        return self.client.create_flow_run_from_deployment(self.deployment_id).id

    def ended(self, flow_run_id: UUID) -> FlowRun:
        """A flow run, of whatever pool, once it has completed. Raises `RuntimeError` if it ended otherwise."""

        def look() -> FlowRun | None:
            self.worker.check()
            flow_run = self.client.read_flow_run(flow_run_id)
            return flow_run if flow_run.state and flow_run.state.is_final() else None

        flow_run = wait_for(look, f"the end of the flow run {flow_run_id}")
        if flow_run.state is None or not flow_run.state.is_completed():
            raise RuntimeError(f"the flow run {flow_run.name} ended as {flow_run.state}")
        return flow_run


@contextmanager
def stock_worker(stack: Stack) -> Iterator[Stock]:
    """A work pool beside those of the stack, on its Prefect server, with a worker that is stopped afterwards."""
    prefect = stack.prefect
    with SyncPrefectClient(prefect.api_url, auth_string=prefect.auth_string) as client:
        client.create_work_pool(WorkPoolCreate(name=POOL, type="process"))
        deployment_id = client.create_deployment(
            flow_id=client.create_flow_from_name("first-line"), name=POOL, entrypoint=ENTRYPOINT, work_pool_name=POOL
        )
        worker = Process(
            "stock worker",
            [program("prefect"), "worker", "start", "--pool", POOL],
            log=stack.data.log("worker-stock"),
            environment=client_environment(stack.data.path)
            | {
                "PREFECT_API_URL": prefect.api_url,
                "PREFECT_API_AUTH_STRING": prefect.auth_string or "",
                "PREFECT_WORKER_QUERY_SECONDS": "1",
                "PYTHONPATH": str(ROOT),
            },
            folder=stack.data.path,
        ).start()
        try:
            yield Stock(client, deployment_id, worker)
        finally:
            worker.stop()
