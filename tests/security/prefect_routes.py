"""Every route of Prefect's own API, asked through the gateway about somebody's things."""

import itertools
import re
from dataclasses import dataclass
from typing import Any

import httpx

from tests.prefect_stage import Side, Stage

SERVED = {
    ("GET", "/admin/version"),
    ("GET", "/admin/storage"),
    ("GET", "/csrf-token"),
    ("GET", "/work_pools/{name}"),
    ("POST", "/work_pools/{work_pool_name}/queues/filter"),
    ("POST", "/work_pools/{name}/get_scheduled_flow_runs"),
    ("POST", "/work_pools/{work_pool_name}/workers/heartbeat"),
    ("GET", "/work_queues/{id}"),
    ("GET", "/deployments/{id}"),
    ("GET", "/flows/{id}"),
    ("GET", "/flow_runs/{id}"),
    ("PATCH", "/flow_runs/{id}"),
    ("PATCH", "/flow_runs/{id}/labels"),
    ("POST", "/flow_runs/{id}/set_state"),
    ("POST", "/flow_runs/filter"),
    ("POST", "/logs/"),
    ("POST", "/events"),
}
"""What the gateway serves. Whoever adds a route here has read docs/prefect-gateway.md."""

IDS = (
    "flow_run_id",
    "task_run_id",
    "deployment_id",
    "work_pool_id",
    "work_queue_id",
    "log_id",
    "block_document_id",
    "variable_id",
    "artifact_id",
    "event_id",
)
NAMES = ("work_pool", "variable_name", "block_type_slug", "limit_name", "block_schema_checksum")
_PARAMETER = re.compile(r"{(\w+)(?::\w+)?}")


@dataclass(frozen=True, slots=True)
class Answer:
    """What one question about somebody's things was answered with."""

    method: str
    path: str
    status: int
    text: str

    @property
    def success(self) -> bool:
        """Whether anything was opened: neither what says the same to everybody, nor an empty list."""
        told_to_all = self.path in {"/admin/version", "/admin/storage"}
        return self.status < 400 and not told_to_all and self.text != "[]"


async def routes(stage: Stage) -> set[tuple[str, str]]:
    """All routes of the Prefect server, read from its own document."""
    document = (await stage.prefect.get(str(stage.prefect.base_url).replace("/api/", "/openapi.json"))).json()
    return {
        (method.upper(), re.sub(r":\w+}", "}", path.removeprefix("/api")))
        for path, methods in document["paths"].items()
        for method in methods
    }


async def ask_all(http: httpx.AsyncClient, asked: set[tuple[str, str]], about: Side, *, each: int) -> list[Answer]:
    """Ask each route about the things of somebody, in its path (`each` of them, at most) and in its body."""
    answers = []
    for method, path in sorted(asked):
        for filled in _filled(path, about.ids, each=each):
            for body in _bodies(method, about.ids, of_all=filled == path):
                response = await http.request(method, filled, json=body)
                answers.append(Answer(method, filled, response.status_code, response.text))
    return answers


def _filled(path: str, ids: dict[str, str], *, each: int) -> list[str]:
    parameters = _PARAMETER.findall(path)
    values = [_values(name, ids)[:each] for name in parameters]
    if len(values) > 1:  # one thing within another: all of the outer, a few of the inner
        values = [values[0], *(inner[:2] for inner in values[1:])]
    return [_PARAMETER.sub("{}", path).format(*chosen) for chosen in itertools.product(*values)]


def _values(parameter: str, ids: dict[str, str]) -> list[str]:
    if parameter == "id":
        return [ids[name] for name in IDS]
    if parameter.endswith("id"):
        return [ids["flow_run_id"], ids["limit_id"], ids["task_run_id"]]
    return [ids[name] for name in NAMES] + ["default", "canary"]


def _bodies(method: str, ids: dict[str, str], *, of_all: bool) -> list[Any]:
    if method in {"GET", "DELETE"}:
        return [None]
    everything = {
        "flow_runs": {"id": {"any_": [ids["flow_run_id"]]}},
        "task_runs": {"id": {"any_": [ids["task_run_id"]]}},
        "deployments": {"id": {"any_": [ids["deployment_id"]]}},
        "work_pools": {"name": {"any_": [ids["work_pool"]]}},
        "work_queues": {"id": {"any_": [ids["work_queue_id"]]}},
        "logs": {"flow_run_id": {"any_": [ids["flow_run_id"]]}},
        "artifacts": {"id": {"any_": [ids["artifact_id"]]}},
        "variables": {"id": {"any_": [ids["variable_id"]]}},
        "block_documents": {"id": {"any_": [ids["block_document_id"]]}},
        "filter": {"id": {"id": [ids["event_id"]]}},
        "include_secrets": True,
    }
    return [everything, {}] if of_all else [everything]
