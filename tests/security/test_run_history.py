"""With the credentials of one organization, nothing of another is to be had from the run history, and nothing changes.

The routes are read from Prefect's own document, so that what a new version adds is tested too.
"""

import re

import pytest

from control_plane.embedded.prefect_server import PrefectServer
from control_plane.run_history import calls
from control_plane.run_history.router import router
from tests.control_plane.run_history.conftest import reading
from tests.prefect_stage import Stage
from tests.security.prefect_routes import Answer, ask_all, routes
from tests.tenants import OPERATOR_KEY

pytestmark = pytest.mark.journey

READING = {
    ("GET", "/health"),
    ("GET", "/csrf-token"),
    ("GET", "/admin/version"),
    ("GET", "/admin/settings"),
    ("GET", "/flow_runs/{}"),
    ("GET", "/flow_runs/{}/graph"),
    ("GET", "/flow_runs/{}/graph-v2"),
    ("GET", "/flow_run_states/"),
    ("GET", "/task_runs/{}"),
    ("GET", "/task_run_states/"),
    ("GET", "/ui/task_runs/{}"),
    ("GET", "/flows/{}"),
    ("GET", "/deployments/{}"),
    ("GET", "/work_pools/{}"),
    ("GET", "/work_pools/{}/queues/{}"),
    ("GET", "/work_queues/{}"),
    ("GET", "/collections/views/{}"),
    ("GET", "/block_capabilities/"),
    ("GET", "/automations/related-to/{}"),
    ("POST", "/logs/filter"),
    ("POST", "/events/filter"),
    ("POST", "/events/count-by/{}"),
    ("POST", "/ui/flow_runs/count-task-runs"),
    ("POST", "/ui/flows/count-deployments"),
    ("POST", "/ui/flows/next-runs"),
    ("POST", "/work_pools/{}/queues/filter"),
    ("POST", "/work_pools/{}/workers/filter"),
    ("POST", "/work_pools/{}/get_scheduled_flow_runs"),
    ("POST", "/deployments/get_scheduled_flow_runs"),
}
"""What is served besides lists and counts. Whoever adds a route here has read docs/run-history.md."""

LISTING = re.compile(r"/(filter|count|paginate|history|lateness|counts)$")


def _shape(method: str, path: str) -> tuple[str, str]:
    return method, re.sub(r"{[^}]*}", "{}", path)


def _served() -> set[tuple[str, str]]:
    prefix = router.prefix
    return {
        _shape(method, route.path.removeprefix(prefix))  # type: ignore[attr-defined]
        for route in router.routes
        for method in route.methods  # type: ignore[attr-defined]
        if "path:path" not in route.path  # type: ignore[attr-defined]
    }


def _opened(answer: Answer, ids: dict[str, str]) -> bool:
    return answer.status < 400 and any(one in answer.text for one in ids.values())


async def test_nothing_is_served_but_what_reads() -> None:
    lists = {route for route in _served() if route[0] == "POST" and LISTING.search(route[1])}

    assert _served() - lists <= READING
    assert _served() >= READING
    assert {method for method, _ in _served()} == {"GET", "POST"}
    assert {("POST", path) for path in calls.NARROWED} <= lists


async def test_no_route_opens_anything_of_another_organization(stage: Stage, prefect_server: PrefectServer) -> None:
    before = await stage.known(stage.globex)
    async with reading(stage, stage.acme.tenant.api_key) as http:
        answers = await ask_all(http, await routes(stage), stage.globex, each=10)

    assert len(answers) > 700
    assert [answer for answer in answers if answer.status >= 500] == []
    assert [answer for answer in answers if _opened(answer, stage.globex.ids)] == []
    assert [answer for answer in answers if stage.globex.canary in answer.text] == []
    assert [answer for answer in answers if prefect_server.auth_string in answer.text] == []
    assert await stage.known(stage.globex) == before


async def test_the_same_questions_open_it_to_its_owner(stage: Stage) -> None:
    async with reading(stage, stage.globex.tenant.api_key) as http:
        answers = await ask_all(http, await routes(stage), stage.globex, each=3)

    opened = [answer for answer in answers if _opened(answer, stage.globex.ids)]
    assert len({(answer.method, answer.path) for answer in opened}) > 15
    assert [answer for answer in answers if stage.globex.canary in answer.text] != []


async def test_what_is_not_served_is_refused_about_own_things_too(stage: Stage) -> None:
    before = await stage.known(stage.acme)
    unserved = {route for route in await routes(stage) if _shape(*route) not in _served()}
    async with reading(stage, stage.acme.tenant.api_key) as http:
        answers = await ask_all(http, unserved, stage.acme, each=3)

    assert {method for method, _ in unserved} == {"GET", "POST", "PUT", "PATCH", "DELETE"}
    assert {answer.status for answer in answers} == {403}
    assert await stage.known(stage.acme) == before


async def test_nothing_that_is_served_changes_anything(stage: Stage) -> None:
    before = await stage.known(stage.acme)
    served = {route for route in await routes(stage) if _shape(*route) in _served()}
    async with reading(stage, stage.acme.tenant.api_key) as http:
        answers = await ask_all(http, served, stage.acme, each=3)

    assert len(served) > 40
    assert [answer for answer in answers if answer.status < 400] != []
    assert await stage.known(stage.acme) == before


@pytest.mark.parametrize("token", [None, "cp_key_no-such-key"])
async def test_without_a_credential_no_route_says_anything(stage: Stage, token: str | None) -> None:
    async with reading(stage, token) as http:
        answers = await ask_all(http, await routes(stage), stage.acme, each=1)

    assert {answer.status for answer in answers} == {401}


@pytest.mark.parametrize("kind", ["worker session", "execution token", "worker key", "operator"])
async def test_no_route_opens_to_what_isnt_a_person(stage: Stage, kind: str) -> None:
    keys = {
        "worker session": stage.acme.session_token,
        "execution token": stage.acme.execution_token,
        "worker key": stage.acme.tenant.worker_key,
        "operator": OPERATOR_KEY,
    }
    async with reading(stage, keys[kind]) as http:
        answers = await ask_all(http, await routes(stage), stage.acme, each=1)

    assert {answer.status for answer in answers} == {403}
