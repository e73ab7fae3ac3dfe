"""Events in the run history: those of one's own work pools."""

from typing import Any

import httpx
import pytest

from tests.control_plane.run_history.conftest import Told, since
from tests.prefect_stage import Stage

pytestmark = pytest.mark.journey


def _asked(**criteria: Any) -> dict[str, Any]:
    return {"filter": {"occurred": since(), **criteria}, "limit": 50}


async def test_events_are_of_ones_own_pools(reader: httpx.AsyncClient, told: Told) -> None:
    asked = _asked(event={"name": [told.acme, told.globex]})
    found = (await reader.post("/events/filter", json=asked)).json()

    assert [event["event"] for event in found["events"]] == [told.acme]
    assert found["total"] == 1


async def test_there_is_one_page_of_events(stage: Stage, reader: httpx.AsyncClient, told: Told) -> None:
    asked = _asked() | {"limit": 1}
    page = (await reader.post("/events/filter", json=asked)).json()
    theirs = (await stage.prefect.post("/events/filter", json=asked)).json()
    token = httpx.URL(theirs["next_page"]).params["page-token"]
    following = await reader.get("/events/filter/next", params={"page-token": token})

    assert len(page["events"]) == 1
    assert page["next_page"] is None
    assert following.status_code == 403


@pytest.mark.parametrize(
    "criteria",
    [
        {"related": {"id": ["prefect.work-pool.{work_pool_id}"]}},
        {"related": [{"id": ["prefect.work-pool.{work_pool_id}"]}]},
        {"related": {"role": ["work-pool"]}, "resource": {"id": ["prefect.flow-run.{flow_run_id}"]}},
        {"any_resource": {"id": ["prefect.flow-run.{flow_run_id}"]}},
        {"resource": {"id_prefix": ["prefect.flow-run.{flow_run_id}"]}},
    ],
)
async def test_criteria_that_name_foreign_things_find_no_events(
    stage: Stage, reader: httpx.AsyncClient, other_reader: httpx.AsyncClient, told: Told, criteria: dict[str, Any]
) -> None:
    asked = _asked(**_filled(criteria, stage.globex.ids), event={"name": [told.globex]})
    foreign, own = [(await one.post("/events/filter", json=asked)).json() for one in (reader, other_reader)]

    assert (foreign["events"], foreign["total"]) == ([], 0)
    assert own["total"] == 1


@pytest.mark.parametrize("countable", ["event", "resource", "day", "time"])
async def test_events_are_counted_of_ones_own_pools(
    stage: Stage, reader: httpx.AsyncClient, told: Told, countable: str
) -> None:
    asked = _asked(event={"name": [told.acme, told.globex]}) | {"time_unit": "day"}
    counted = await reader.post(f"/events/count-by/{countable}", json=asked | {"filter": _recent(asked["filter"])})

    assert counted.status_code == 200
    assert sum(one["count"] for one in counted.json()) == 1
    assert stage.globex.canary not in counted.text


def _recent(criteria: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in criteria.items() if name != "occurred"}


def _filled(value: Any, ids: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {name: _filled(one, ids) for name, one in value.items()}
    if isinstance(value, list):
        return [_filled(one, ids) for one in value]
    return value.format(**ids)
