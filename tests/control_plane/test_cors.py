from collections.abc import AsyncIterator

import httpx
import pytest
from pydantic import ValidationError

from control_plane.settings import Settings
from tests.orchestrator import FakeOrchestrator
from tests.serving import api_server
from tests.tenants import Tenant, client

pytestmark = pytest.mark.integration

ORIGIN = "https://console.example.com"
PREFLIGHT = {
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization, content-type, idempotency-key",
}


@pytest.fixture
async def caller(settings: Settings, acme: Tenant) -> AsyncIterator[httpx.AsyncClient]:
    """A member of `acme` at a server that lets scripts of one origin in, one request at most."""
    open_to_one = settings.model_copy(
        update={"cors_origins": (ORIGIN,), "rate_limit": 0.001, "rate_limit_burst": 1, "max_body_bytes": 1024}
    )
    async with api_server(open_to_one, FakeOrchestrator()) as url, client(url, acme.api_key) as limited:
        yield limited


async def test_by_default_no_script_of_another_origin_may_read_an_answer(acme: Tenant) -> None:
    response = await acme.client.get("/agents", headers={"Origin": ORIGIN})

    assert [name for name in response.headers if name.startswith("access-control")] == []


async def test_by_default_a_preflight_is_refused(acme: Tenant) -> None:
    response = await acme.client.options("/agents", headers=PREFLIGHT | {"Origin": ORIGIN})

    assert response.status_code == 405
    assert "Access-Control-Allow-Origin" not in response.headers


async def test_a_script_of_a_named_origin_may_send_what_the_api_understands(caller: httpx.AsyncClient) -> None:
    response = await caller.options("/agents", headers=PREFLIGHT | {"Origin": ORIGIN})

    assert response.status_code == 200
    assert response.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert {"Authorization", "Idempotency-Key", "If-Match", "Last-Event-ID"} <= set(
        response.headers["Access-Control-Allow-Headers"].split(", ")
    )


async def test_a_script_of_a_named_origin_may_read_an_answer_and_its_headers(caller: httpx.AsyncClient) -> None:
    response = await caller.get("/agents", headers={"Origin": ORIGIN})

    assert response.status_code == 200
    assert response.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert {"ETag", "Link", "Location", "Retry-After"} <= set(
        response.headers["Access-Control-Expose-Headers"].split(", ")
    )


@pytest.mark.parametrize("origin", ["https://evil.example.com", "http://console.example.com", "null", f"{ORIGIN}.evil"])
async def test_a_script_of_any_other_origin_may_not(caller: httpx.AsyncClient, origin: str) -> None:
    preflight = await caller.options("/agents", headers=PREFLIGHT | {"Origin": origin})
    response = await caller.get("/agents", headers={"Origin": origin})

    assert preflight.status_code == 400
    assert "Access-Control-Allow-Origin" not in response.headers


async def test_cookies_and_certificates_are_never_asked_for(caller: httpx.AsyncClient) -> None:
    preflight = await caller.options("/agents", headers=PREFLIGHT | {"Origin": ORIGIN})
    response = await caller.get("/agents", headers={"Origin": ORIGIN})

    assert "Access-Control-Allow-Credentials" not in preflight.headers
    assert "Access-Control-Allow-Credentials" not in response.headers


async def test_preflights_are_not_limited_and_a_script_may_read_why_it_is(caller: httpx.AsyncClient) -> None:
    preflights = [await caller.options("/agents", headers=PREFLIGHT | {"Origin": ORIGIN}) for _ in range(3)]
    await caller.get("/agents")

    refused = await caller.get("/agents", headers={"Origin": ORIGIN})

    assert [preflight.status_code for preflight in preflights] == [200] * 3
    assert refused.status_code == 429
    assert refused.headers["Access-Control-Allow-Origin"] == ORIGIN


async def test_a_script_may_read_that_its_body_was_too_large(caller: httpx.AsyncClient) -> None:
    response = await caller.post("/projects", content=b"x" * 2_000, headers={"Origin": ORIGIN})

    assert response.status_code == 413
    assert response.headers["Access-Control-Allow-Origin"] == ORIGIN


@pytest.mark.parametrize(
    ("text", "origins"),
    [
        (ORIGIN, (ORIGIN,)),
        (f"{ORIGIN}, http://localhost:3000,", (ORIGIN, "http://localhost:3000")),
        ("http://[::1]:3000", ("http://[::1]:3000",)),
        ("*", ("*",)),
        ("", ()),
    ],
)
def test_origins_are_read_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, text: str, origins: tuple[str, ...]
) -> None:
    monkeypatch.setenv("CONTROL_PLANE_CORS_ORIGINS", text)

    settings = Settings(database_url="postgresql://nobody@localhost/x", secret_key="x" * 32)

    assert settings.cors_origins == origins


@pytest.mark.parametrize(
    "text", ["console.example.com", f"{ORIGIN}/", "https://*.example.com", "null", "ftp://x", "**"]
)
def test_what_is_no_origin_is_refused_when_the_server_starts(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("CONTROL_PLANE_CORS_ORIGINS", text)

    with pytest.raises(ValidationError, match="CONTROL_PLANE_CORS_ORIGINS"):
        Settings(database_url="postgresql://nobody@localhost/x", secret_key="x" * 32)
