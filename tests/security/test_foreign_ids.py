"""To each route with an id in its path, the ids of another organization do not exist.

The routes are read from the application, so a new one is tested, or fails here until it says what its ids are.
"""

from uuid import uuid4

import pytest

from tests.security.addressed import OF_PEOPLE, OF_TOKENS, ask, belongings
from tests.tenants import OPERATOR_KEY, Tenant, client
from tests.worker import claimed

pytestmark = pytest.mark.integration

OF_THE_OPERATOR = [("GET", "/organizations/{organization_id}"), ("DELETE", "/organizations/{organization_id}")]
"""The tenants themselves: the operator sees what they are called, and can delete them."""


@pytest.fixture
async def ids(globex: Tenant) -> dict[str, str]:
    """What the other organization has: by the name of the path parameter."""
    return await belongings(globex)


def test_there_are_routes_to_test() -> None:
    assert len(OF_PEOPLE) >= 10
    assert len(OF_TOKENS) >= 4


@pytest.mark.parametrize(("method", "path"), OF_PEOPLE)
async def test_an_id_of_another_organization_does_not_exist_for_people(
    acme: Tenant, ids: dict[str, str], method: str, path: str
) -> None:
    response = await ask(acme.client, method, path, ids)

    assert response.status_code == 404
    assert response.json()["code"] == "not_found"


@pytest.mark.parametrize(("method", "path"), OF_PEOPLE)
async def test_a_foreign_id_is_answered_like_one_that_never_existed(
    acme: Tenant, ids: dict[str, str], method: str, path: str
) -> None:
    never = dict.fromkeys(ids, str(uuid4())) | {"version": "1"}

    foreign = (await ask(acme.client, method, path, ids)).json()
    unknown = (await ask(acme.client, method, path, never)).json()

    differing = {"detail", "instance", "request_id"}
    assert {name: foreign[name] for name in foreign.keys() - differing} == {
        name: unknown[name] for name in unknown.keys() - differing
    }


async def test_an_execution_of_another_organization_does_not_exist_for_a_worker(
    acme: Tenant, ids: dict[str, str]
) -> None:
    response = await ask(acme.worker, "POST", "/worker/executions/{execution_id}/claim", ids)

    assert response.status_code == 404


@pytest.mark.parametrize(("method", "path"), OF_TOKENS)
async def test_an_execution_token_opens_no_execution_of_another_organization(
    acme: Tenant, api_url: str, ids: dict[str, str], method: str, path: str
) -> None:
    async with claimed(acme, api_url) as worker:
        response = await ask(worker.http, method, path, ids)

    assert response.status_code == 404


@pytest.mark.parametrize(("method", "path"), OF_TOKENS)
async def test_an_execution_token_opens_no_other_execution_of_its_own_organization(
    acme: Tenant, api_url: str, method: str, path: str
) -> None:
    other = await acme.start()
    async with claimed(acme, api_url) as worker:
        response = await ask(worker.http, method, path, {"execution_id": other["id"]})

    assert response.status_code == 404


@pytest.mark.parametrize(("method", "path"), [route for route in OF_PEOPLE if route not in OF_THE_OPERATOR])
async def test_the_operator_reaches_no_resource_of_a_tenant(
    api_url: str, ids: dict[str, str], method: str, path: str
) -> None:
    async with client(api_url, OPERATOR_KEY) as operator:
        response = await ask(operator, method, path, ids)

    assert response.status_code == 403


@pytest.mark.parametrize(
    "path", ["/projects", "/environments", "/worker-queues", "/workers", "/agents", "/policies", "/executions"]
)
async def test_lists_hold_nothing_of_another_organization(acme: Tenant, ids: dict[str, str], path: str) -> None:
    response = await acme.client.get(path)

    organizations = {found["organization_id"] for found in response.json()}
    assert organizations <= {acme.organization["id"]}


@pytest.mark.parametrize("parameter", ["agent_id", "environment_id"])
async def test_filters_find_nothing_of_another_organization(acme: Tenant, ids: dict[str, str], parameter: str) -> None:
    response = await acme.client.get("/executions", params={parameter: ids[parameter]})

    assert response.json() == []
