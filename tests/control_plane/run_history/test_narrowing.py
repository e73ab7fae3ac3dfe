"""What is sent to Prefect, and what is made of its answers, without Prefect."""

from typing import Any

import httpx
import pytest
from pydantic_core import from_json

from control_plane.problems import NotFound
from control_plane.run_history.events import is_own, narrowed
from control_plane.run_history.history import RunHistory
from control_plane.run_history.narrowing import NOWHERE, Asked, by_deployments, by_work_pools, flows_by_work_pools
from control_plane.run_history.scope import Scope

pytestmark = pytest.mark.unit

OURS = Scope(frozenset({"env-a", "env-b"}))
NOTHING = Scope(frozenset())


class Answering(httpx.AsyncBaseTransport):
    """Prefect, if it took no notice of filters."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json=self.answer, request=request)


class Careless:
    """An upstream that answers whatever it is asked with the same."""

    def __init__(self, answer: Any) -> None:
        self._http = httpx.AsyncClient(transport=Answering(answer), base_url="http://prefect")

    async def post(self, path: str, body: bytes) -> httpx.Response:
        return await self._http.post(path, content=body)

    async def get(self, path: str) -> httpx.Response:
        return await self._http.get(path)


def _history(answer: Any) -> RunHistory:
    return RunHistory(Careless(answer))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (None, ["env-a", "env-b"]),
        ({}, ["env-a", "env-b"]),
        ({"name": None}, ["env-a", "env-b"]),
        ({"name": {"any_": None}}, ["env-a", "env-b"]),
        ({"name": {"any_": ["env-b", "env-c"]}}, ["env-b"]),
        ({"name": {"any_": ["env-c"]}}, [NOWHERE]),
        ({"name": {"any_": []}}, [NOWHERE]),
    ],
)
def test_of_the_pools_that_are_asked_for_ours_are_left(given: Any, sent: list[str]) -> None:
    body = from_json(by_work_pools(OURS, Asked(work_pools=given)))

    assert body["work_pools"] == {"operator": "and_", "name": {"any_": sent}}


@pytest.mark.parametrize("narrow", [by_work_pools, flows_by_work_pools])
def test_whoever_has_no_pool_asks_about_one_that_cant_exist(narrow: Any) -> None:
    body = from_json(narrow(NOTHING, Asked()))

    assert body["work_pools"]["name"] == {"any_": [NOWHERE]}


def test_criteria_of_pools_that_arent_names_stay_beside_ours() -> None:
    asked = Asked(work_pools={"id": {"any_": ["1"]}, "type": {"any_": ["process"]}, "more": 1})
    body = from_json(by_work_pools(OURS, asked))

    assert body["work_pools"] == {
        "operator": "and_",
        "name": {"any_": ["env-a", "env-b"]},
        "id": {"any_": ["1"]},
        "type": {"any_": ["process"]},
    }


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        (Asked(), {"operator": "and_", "name": {"any_": ["env-a", "env-b"]}}),
        (
            Asked(deployments={"name": {"any_": ["env-a", "env-c"], "like_": "e"}, "tags": None}),
            {"operator": "and_", "name": {"any_": ["env-a"], "like_": "e"}, "tags": None},
        ),
        (
            Asked(deployments={"id": {"any_": ["1"]}}, work_pools={"name": {"any_": ["env-b", "env-c"]}}),
            {"operator": "and_", "id": {"any_": ["1"]}, "name": {"any_": ["env-b"]}},
        ),
        (Asked(deployments={"name": {"any_": ["env-c"]}}), {"operator": "and_", "name": {"any_": [NOWHERE]}}),
    ],
)
def test_task_runs_are_narrowed_by_deployments(asked: Asked, sent: Any) -> None:
    body = from_json(by_deployments(OURS, asked))

    assert body["deployments"] == sent
    assert "work_pools" not in body


def test_events_without_a_pool_of_ours_are_asked_for_by_nobody() -> None:
    related = {"id": ["prefect.work-pool.theirs"]}
    filters = [narrowed({"related": given}, frozenset({"ours"})) for given in (None, related, [related])]

    assert [one["related"] for one in filters] == [
        [{"id": ["ours"]}],
        [{"id": ["ours"]}, related],
        [{"id": ["ours"]}, related],
    ]
    assert narrowed({}, frozenset())["related"] == [{"id": [NOWHERE]}]


@pytest.mark.parametrize(("pool", "shown"), [("ours", True), ("theirs", False)])
def test_an_event_is_looked_at_again(pool: str, *, shown: bool) -> None:
    event = {"resource": {"prefect.resource.id": "run"}, "related": [{"prefect.resource.id": pool}]}

    assert is_own(event, frozenset({"ours"})) is shown


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/flow_runs/filter", [{"work_pool_name": "env-a"}, {"work_pool_name": "env-c"}]),
        ("/flow_runs/paginate", {"results": [{"work_pool_name": None}]}),
        ("/deployments/filter", [{"work_pool_name": "env-c"}]),
        ("/deployments/paginate", {"results": [{"work_pool_name": "env-c"}]}),
        ("/work_pools/filter", [{"name": "env-c"}]),
    ],
)
async def test_whatever_prefect_makes_of_a_filter_no_foreign_row_gets_out(path: str, answer: Any) -> None:
    history = _history(answer)

    with pytest.raises(NotFound):
        await history.listed(OURS, path, Asked())
