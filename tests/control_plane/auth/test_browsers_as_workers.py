"""A browser that is signed in with a key that may join is still no worker."""

import re
from uuid import uuid4

import pytest

from control_plane.auth.permissions import EXECUTION, WORKER_KEY, WORKER_SESSION
from tests.control_plane.auth.browser import ORIGIN, Browser
from tests.security.operations import named_permissions
from tests.tenants import JOINING, Tenant

pytestmark = pytest.mark.integration

OF_MACHINES = sorted(
    route
    for route, named in named_permissions().items()
    if named & (WORKER_KEY | WORKER_SESSION | EXECUTION) and not route.startswith("ANY")
)


@pytest.fixture
async def with_key(acme: Tenant, browser: Browser) -> Browser:
    """A browser that is signed in with the API key of an owner of `acme`."""
    await browser.enter_key(acme.api_key)
    return browser


@pytest.fixture
def joining(acme: Tenant) -> dict[str, str]:
    """The paths of the routes that begin or keep a session of a worker, each as it is right for `acme`."""
    return {
        "by pool": f"/api/v1/work-pools/{acme.environment['work_pool']}/start",
        "by queue": f"/api/v1/worker-queues/{acme.session['worker_queue']['id']}/start",
        "renewal": f"/api/v1/worker-sessions/{acme.session['session_id']}/renew",
    }


@pytest.mark.parametrize("way", ["by pool", "by queue", "renewal"])
async def test_a_signed_in_browser_joins_nothing(
    with_key: Browser, acme: Tenant, joining: dict[str, str], way: str
) -> None:
    response = await with_key.http.post(joining[way], json=JOINING, headers={"Origin": ORIGIN})

    workers = (await acme.client.get("/workers")).json()
    assert response.status_code == 403
    assert "A signed-in browser is no worker" in response.json()["detail"]
    assert [worker["id"] for worker in workers] == [acme.session["session_id"]]


@pytest.mark.parametrize("way", ["by pool", "by queue"])
async def test_the_same_key_as_a_bearer_credential_joins_though_a_cookie_stands_beside_it(
    with_key: Browser, acme: Tenant, joining: dict[str, str], way: str
) -> None:
    response = await with_key.http.post(joining[way], json=JOINING, headers={"Authorization": f"Bearer {acme.api_key}"})

    assert response.status_code == 201


async def test_no_route_of_workers_and_executions_takes_a_cookie(with_key: Browser) -> None:
    asked = [(route.split()[0], re.sub(r"{\w+(?::\w+)?}", str(uuid4()), route.split()[1])) for route in OF_MACHINES]

    answers = [
        (await with_key.http.request(method, path, json={}, headers={"Origin": ORIGIN})).status_code
        for method, path in asked
    ]

    assert len(answers) > 30
    assert set(answers) == {403}


async def test_a_signed_in_browser_issues_keys_for_workers(with_key: Browser, acme: Tenant) -> None:
    response = await with_key.http.post(
        f"/api/v1/environments/{acme.environment['id']}/worker-keys", json={"name": "rack"}, headers={"Origin": ORIGIN}
    )

    assert response.status_code == 201
