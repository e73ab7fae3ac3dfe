"""Every call of Prefect's API that is served here, and what makes sure that it shows nothing else: one table.

What isn't in it, nor a route of its own in router.py, is refused.
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from control_plane.run_history.narrowing import Asked, by_deployments, by_work_pools, flows_by_work_pools
from control_plane.run_history.scope import Scope


class Way(NamedTuple):
    """How a list is narrowed, and the field of its rows that names their work pool, if one does."""

    narrow: Callable[[Scope, Asked], bytes]
    pool_field: str | None = None


_RUNS: Final = Way(by_work_pools, "work_pool_name")
_COUNTED: Final = Way(by_work_pools)
_FLOWS: Final = Way(flows_by_work_pools)
_TASKS: Final = Way(by_deployments)

NARROWED: Final[dict[str, Way]] = {
    "/flow_runs/filter": _RUNS,
    "/flow_runs/paginate": _RUNS,
    "/flow_runs/count": _COUNTED,
    "/flow_runs/history": _COUNTED,
    "/flow_runs/lateness": _COUNTED,
    "/ui/flow_runs/history": _COUNTED,
    "/task_runs/filter": _TASKS,
    "/task_runs/paginate": _TASKS,
    "/task_runs/count": _TASKS,
    "/task_runs/history": _TASKS,
    "/ui/task_runs/count": _TASKS,
    "/ui/task_runs/dashboard/counts": _TASKS,
    "/flows/filter": _FLOWS,
    "/flows/paginate": _FLOWS,
    "/flows/count": _FLOWS,
    "/deployments/filter": _RUNS,
    "/deployments/paginate": _RUNS,
    "/deployments/count": _COUNTED,
    "/work_pools/filter": Way(by_work_pools, "name"),
    "/work_pools/count": _COUNTED,
}
"""Lists and counts, all asked with POST."""

WITHIN_FLOW_RUN: Final = ("/graph", "/graph-v2")
"""What is read of one flow run, once it has been found within the scope."""

WITHIN_WORK_POOL: Final = ("/queues/filter", "/workers/filter")
"""Lists of one work pool, once it has been found within the scope."""

_NOTHING: Final[list[Any]] = []

FIXED: Final[dict[tuple[str, str], Any]] = {
    ("GET", "/health"): True,
    ("GET", "/admin/settings"): {},
    ("GET", "/collections/views/{view}"): {},
    ("POST", "/variables/filter"): _NOTHING,
    ("POST", "/variables/count"): 0,
    ("POST", "/block_documents/filter"): _NOTHING,
    ("POST", "/block_documents/count"): 0,
    ("POST", "/block_types/filter"): _NOTHING,
    ("POST", "/block_schemas/filter"): _NOTHING,
    ("GET", "/block_capabilities/"): _NOTHING,
    ("POST", "/automations/filter"): _NOTHING,
    ("POST", "/automations/count"): 0,
    ("GET", "/automations/related-to/{resource_id}"): _NOTHING,
    ("POST", "/concurrency_limits/filter"): _NOTHING,
    ("POST", "/v2/concurrency_limits/filter"): _NOTHING,
    ("POST", "/artifacts/filter"): _NOTHING,
    ("POST", "/artifacts/count"): 0,
    ("POST", "/artifacts/latest/filter"): _NOTHING,
    ("POST", "/artifacts/latest/count"): 0,
    ("POST", "/saved_searches/filter"): _NOTHING,
    ("POST", "/flow_run_notification_policies/filter"): _NOTHING,
    ("POST", "/task_workers/filter"): _NOTHING,
    # They name no work pool, so there is nothing to narrow; the lists of each pool are served.
    ("POST", "/work_queues/filter"): _NOTHING,
    # Prefect takes whoever asks for a worker, and writes down that there is one.
    ("POST", "/work_pools/{name}/get_scheduled_flow_runs"): _NOTHING,
    ("POST", "/deployments/get_scheduled_flow_runs"): _NOTHING,
}
"""What belongs to no tenant, and what only a worker may ask: the same answer to everybody, without asking Prefect."""
