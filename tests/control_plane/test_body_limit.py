from collections.abc import AsyncIterator

import pytest

from control_plane.settings import Settings
from tests.tenants import Tenant

pytestmark = pytest.mark.integration

LIMIT = 4_096


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """A server that accepts small bodies only."""
    return settings.model_copy(update={"max_body_bytes": LIMIT})


async def in_pieces(body: bytes) -> AsyncIterator[bytes]:
    """A body whose length isn't declared."""
    for start in range(0, len(body), 1_000):
        yield body[start : start + 1_000]


def project(size: int) -> bytes:
    """A valid project of this many bytes."""
    start, end = b'{"name": "Small", "slug": "small"', b"}"
    return start + b" " * (size - len(start) - len(end)) + end


JSON = {"Content-Type": "application/json"}


async def test_a_body_of_exactly_the_limit_is_accepted(acme: Tenant) -> None:
    response = await acme.client.post("/projects", content=project(LIMIT), headers=JSON)

    assert response.status_code == 201


async def test_a_body_in_pieces_up_to_the_limit_is_accepted(acme: Tenant) -> None:
    response = await acme.client.post("/projects", content=in_pieces(project(LIMIT)), headers=JSON)

    assert response.status_code == 201


async def test_a_body_that_declares_to_be_larger_is_refused(acme: Tenant) -> None:
    response = await acme.client.post("/projects", content=project(LIMIT + 1), headers=JSON)

    assert response.status_code == 413
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json()["code"] == "body_too_large"
    assert str(LIMIT) in response.json()["detail"]


async def test_a_body_in_pieces_that_turns_out_larger_is_refused(acme: Tenant) -> None:
    response = await acme.client.post("/projects", content=in_pieces(project(LIMIT + 1)), headers=JSON)

    assert response.status_code == 413
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json()["request_id"] == response.headers["X-Request-Id"]


async def test_a_refused_body_has_no_effect(acme: Tenant) -> None:
    await acme.client.post("/projects", content=in_pieces(project(LIMIT + 1)), headers=JSON)

    response = await acme.client.get("/projects", params={"slug": "small"})

    assert response.json() == []
