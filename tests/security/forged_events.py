"""Events as the clients of Prefect send them, that say what isn't so."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from tests.prefect_stage import Side


def resource(kind: str, identity: str, **labels: str) -> dict[str, str]:
    """Something that an event speaks of."""
    return {"prefect.resource.id": f"prefect.{kind}.{identity}", "prefect.resource.role": kind} | labels


def _event(event: str, about: str, *related: dict[str, str], **payload: Any) -> dict[str, Any]:
    return {
        "id": str(uuid4()),
        "occurred": datetime.now(UTC).isoformat(),
        "event": event,
        # With this label Prefect writes down what the event says of a task run.
        "resource": {"prefect.resource.id": about, "prefect.orchestration": "client"},
        "related": related,
        "payload": payload,
    }


def task_run(about: str, *related: dict[str, str], state: Any = None, **changes: Any) -> dict[str, Any]:
    """An event by which Prefect writes down a task run."""
    return _event(
        "prefect.task-run.Completed",
        f"prefect.task-run.{about}",
        *related,
        intended={"from": "RUNNING", "to": "COMPLETED"},
        initial_state=None,
        validated_state={"type": "COMPLETED", "name": "forged", "state_details": {}} | (state or {}),
        task_run={"name": "forged", "task_key": "forged", "dynamic_key": str(uuid4())} | changes,
    )


def forgeries(mine: dict[str, str], foreign: dict[str, str]) -> list[dict[str, Any]]:
    """Events that speak of somebody else's things, each in another place."""
    run, theirs = mine["flow_run_id"], foreign["flow_run_id"]
    own = resource("flow-run", run)
    heartbeat = "prefect.flow-run.heartbeat"
    return [
        task_run(foreign["task_run_id"], own),
        task_run(foreign["task_run_id"], resource("flow-run", theirs)),
        task_run(str(uuid4()), resource("flow-run", theirs)),
        task_run(str(uuid4()), own, id=foreign["task_run_id"]),
        task_run(str(uuid4()), own, flow_run_id=theirs),
        task_run(str(uuid4()), own, state={"id": foreign["task_run_state_id"]}),
        task_run(str(uuid4()), own, resource("flow-run", theirs)),
        task_run(str(uuid4()), resource("flow-run", theirs), own),
        task_run(str(uuid4()), resource("flow", theirs) | {"prefect.resource.role": "flow-run"}, own),
        _event(heartbeat, f"prefect.flow-run.{theirs}"),
        _event(heartbeat, f"prefect.flow-run.{run}", resource("flow-run", theirs)),
        _event(heartbeat, f"prefect.flow-run.{run}", resource("deployment", foreign["deployment_id"])),
        _event(heartbeat, f"prefect.flow-run.{run}", resource("work-pool", foreign["work_pool_id"])),
        _event(heartbeat, f"prefect.flow-run.{run}", resource("work-queue", foreign["work_queue_id"])),
        _event(heartbeat, f"prefect.flow-run.{run}", resource("block-document", foreign["block_document_id"])),
        _event("prefect.flow-run.Cancelling", f"prefect.flow-run.{theirs}"),
        _event("prefect.flow-run.Cancelling", f"prefect.flow-run.{run}"),
        _event("prefect.worker.executed-flow-run", f"prefect.flow-run.{theirs}"),
        _event("prefect.worker.started", "prefect.worker.process.w", resource("work-pool", foreign["work_pool_id"])),
        _event("prefect.work-pool.deleted", f"prefect.work-pool.{foreign['work_pool_id']}"),
        _event("forged", f"prefect.flow-run.{run}"),
    ]


def subscription(side: Side, flow_run_id: str) -> dict[str, Any]:
    """What asks to hear of somebody's flow run, and of whatever else happens."""
    return {
        "type": "filter",
        "filter": {
            "occurred": {"since": "2026-01-01T00:00:00Z", "until": "2100-01-01T00:00:00Z"},
            "event": {"name": ["prefect.flow-run.Cancelling", side.canary], "prefix": ["prefect."]},
            "resource": {"id": [f"prefect.flow-run.{flow_run_id}"]},
            "any_resource": {"id": [f"prefect.work-pool.{side.ids['work_pool_id']}"]},
        },
    }


def about(side: Side) -> dict[str, Any]:
    """A filter of all events that have to do with the things of somebody."""
    kinds = {
        "flow-run": side.ids["flow_run_id"],
        "task-run": side.ids["task_run_id"],
        "deployment": side.ids["deployment_id"],
        "work-pool": side.ids["work_pool_id"],
        "work-queue": side.ids["work_queue_id"],
    }
    return {"filter": {"any_resource": {"id": [f"prefect.{kind}.{identity}" for kind, identity in kinds.items()]}}}
