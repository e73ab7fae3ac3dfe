"""Criteria of Prefect's filters, narrowed to the caller's work pools.

Prefect joins the filters of one request by `and`, and the criteria within one filter by whatever its `operator` says.
So the caller's work pools are a filter of their own beside what was asked, and the one filter that they share with the
caller is rebuilt here with `and_`.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue
from pydantic_core import to_json

from control_plane.problems import Invalid
from control_plane.run_history.scope import Scope
from deployments.catalog import deployment_name

NOWHERE = "/"
"""No work pool can have this name. Prefect takes some empty lists for no criterion at all, so none is ever sent."""

Filter = dict[str, JsonValue]


class Asked(BaseModel):
    """The body of a call that lists or counts. Fields that no such call has are left out."""

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    flows: Filter | None = None
    flow_runs: Filter | None = None
    task_runs: Filter | None = None
    deployments: Filter | None = None
    work_pools: Filter | None = None
    work_queues: Filter | None = None
    work_pool_queues: Filter | None = None
    workers: Filter | None = None
    sort: str | None = Field(None, max_length=100)
    limit: int | None = Field(None, ge=0, le=1000)
    offset: int | None = Field(None, ge=0)
    page: int | None = Field(None, ge=1)
    history_start: str | None = Field(None, max_length=50)
    history_end: str | None = Field(None, max_length=50)
    history_interval_seconds: float | None = Field(None, ge=1)


def by_work_pools(scope: Scope, asked: Asked) -> bytes:
    """For calls that know work pools: flow runs, deployments, work pools."""
    body = asked.model_dump(exclude_none=True)
    own = {"operator": "and_", "name": {"any_": _chosen(scope, asked)}}
    return to_json(body | {"work_pools": _kept(asked.work_pools, "id", "type") | own})


def by_deployments(scope: Scope, asked: Asked) -> bytes:
    """For calls about task runs, which know no work pools. Each of our pools has one deployment, named by it."""
    body = asked.model_dump(exclude_none=True, exclude={"work_pools", "work_queues"})
    given = asked.deployments or {}
    _refuse_or("deployments", given)
    own = [deployment_name(work_pool) for work_pool in _chosen(scope, asked)]
    name = _part("deployments.name", given.get("name"))
    among = _names("deployments.name.any_", name.get("any_"))
    names = [one for one in own if among is None or one in among] or [NOWHERE]
    return to_json(body | {"deployments": given | {"operator": "and_", "name": name | {"any_": names}}})


def flows_by_work_pools(scope: Scope, asked: Asked) -> bytes:
    """For calls about flows. Criteria of runs are left out: a flow is everybody's, and so are its runs."""
    return by_work_pools(scope, asked.model_copy(update={"flow_runs": None, "task_runs": None}))


def _chosen(scope: Scope, asked: Asked) -> list[str]:
    """Of the caller's work pools, those that were asked for, by name; all if none was."""
    given = asked.work_pools or {}
    _refuse_or("work_pools", given)
    among = _names("work_pools.name.any_", _part("work_pools.name", given.get("name")).get("any_"))
    return sorted(scope.work_pools if among is None else scope.work_pools & among) or [NOWHERE]


def _refuse_or(location: str, given: Mapping[str, Any]) -> None:
    if given.get("operator", "and_") != "and_":
        raise Invalid("Only and_ is served here.", location=f"body.{location}.operator")


def _kept(given: Filter | None, *names: str) -> Filter:
    return {name: given[name] for name in names if given and given.get(name) is not None}


def _part(location: str, given: JsonValue) -> Filter:
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise Invalid("It must be an object.", location=f"body.{location}")
    return given


def _names(location: str, given: JsonValue) -> frozenset[str] | None:
    if given is None:
        return None
    if not isinstance(given, list):
        raise Invalid("It must be a list.", location=f"body.{location}")
    return frozenset(str(one) for one in given)
