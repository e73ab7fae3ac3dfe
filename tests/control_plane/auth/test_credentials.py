import hashlib
from datetime import timedelta

import httpx
import psycopg
import pytest

from control_plane.auth.credentials import PREFIXES, Authenticator, Hasher
from control_plane.auth.principals import Kind
from control_plane.settings import Settings
from tests.clock import five_seconds_later
from tests.conftest import TestDatabase
from tests.tenants import OPERATOR_KEY, Tenant, client, created
from tests.worker import claimed

pytestmark = pytest.mark.integration


async def change(test_database: TestDatabase, assignment: str, kind: Kind) -> None:
    await test_database.change(f"UPDATE credentials SET {assignment} WHERE kind = '{kind}'")


async def test_without_a_credential_nothing_is_answered(api_url: str) -> None:
    async with httpx.AsyncClient(base_url=api_url, trust_env=False) as anonymous:
        response = await anonymous.get("/api/v1/agents")

    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="control-plane"'


@pytest.mark.parametrize(
    "credential",
    ["x", "cp_key_", "cp_key_" + "A" * 43, OPERATOR_KEY.upper(), "ÿ" * 20, "' OR 1=1 --"],
)
async def test_an_unknown_credential_is_refused(api_url: str, credential: str) -> None:
    headers = [(b"authorization", f"Bearer {credential}".encode("latin-1"))]
    async with httpx.AsyncClient(base_url=api_url, trust_env=False) as stranger:
        response = await stranger.get("/api/v1/agents", headers=headers)

    assert response.status_code == 401
    assert response.json()["code"] == "unauthenticated"


@pytest.mark.parametrize("scheme", ["Basic", "Digest", "Token", ""])
async def test_a_credential_under_another_scheme_is_refused(acme: Tenant, api_url: str, scheme: str) -> None:
    async with httpx.AsyncClient(base_url=api_url, trust_env=False) as stranger:
        response = await stranger.get("/api/v1/agents", headers={"Authorization": f"{scheme} {acme.api_key}".strip()})

    assert response.status_code == 401


async def test_a_key_that_has_expired_is_refused(acme: Tenant, api_url: str) -> None:
    path = f"/organizations/{acme.organization['id']}/api-keys"
    issued = await created(acme.client, path, {"name": "past", "role": "viewer", "expires_at": "2020-01-01T00:00:00Z"})

    async with client(api_url, issued["key"]) as past:
        response = await past.get("/agents")

    assert response.status_code == 401


@pytest.mark.parametrize("assignment", ["revoked_at = now()", "expires_at = now()"])
async def test_a_key_stops_working_within_five_seconds_of_its_revocation_or_expiry(
    acme: Tenant, test_database: TestDatabase, monkeypatch: pytest.MonkeyPatch, assignment: str
) -> None:
    before = await acme.client.get("/agents")
    await change(test_database, assignment, Kind.API_KEY)
    five_seconds_later(monkeypatch)

    after = await acme.client.get("/agents")

    assert [before.status_code, after.status_code] == [200, 401]


async def test_a_worker_key_stops_working_within_five_seconds_of_its_revocation(
    acme: Tenant, test_database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    execution, other = await acme.start(), await acme.start()
    await acme.claim(execution["id"])
    await change(test_database, "revoked_at = now()", Kind.WORKER_KEY)
    five_seconds_later(monkeypatch)

    response = await acme.worker.post(f"/worker/executions/{other['id']}/claim", json={"worker": "x"})

    assert response.status_code == 401


def test_what_is_remembered_is_forgotten_well_within_five_seconds() -> None:
    assert timedelta(0) < Authenticator.REMEMBER <= timedelta(seconds=4)


async def test_an_execution_token_dies_after_its_execution(
    acme: Tenant, api_url: str, test_database: TestDatabase
) -> None:
    async with claimed(acme, api_url) as worker:
        await worker.finish()

    with psycopg.connect(test_database.superuser_url) as connection:
        row = connection.execute(
            "SELECT max(expires_at - now()) FROM credentials WHERE execution_id = %s", [worker.execution_id]
        ).fetchone()
    assert row is not None
    assert row[0] <= timedelta(minutes=1)


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/agents"), ("GET", "/executions"), ("POST", "/projects"), ("GET", "/organizations")],
)
async def test_a_worker_session_and_an_execution_token_open_nothing_that_is_for_people(
    acme: Tenant, api_url: str, method: str, path: str
) -> None:
    async with claimed(acme, api_url) as worker:
        by_token = await worker.http.request(method, path, json={"name": "x", "slug": "x"})
        by_session = await acme.worker.request(method, path, json={"name": "x", "slug": "x"})
    async with client(api_url, acme.worker_key) as http:
        by_key = await http.request(method, path, json={"name": "x", "slug": "x"})

    assert [by_token.status_code, by_session.status_code, by_key.status_code] == [403, 403, 403]


async def test_an_api_key_does_not_act_as_a_worker(acme: Tenant) -> None:
    execution = await acme.start()

    response = await acme.client.post(f"/worker/executions/{execution['id']}/claim", json={"worker": "x"})

    assert response.status_code == 403
    assert "executions:claim" in response.json()["detail"]


async def test_a_worker_session_does_not_report_for_an_execution(acme: Tenant) -> None:
    execution = await acme.start()
    await acme.claim(execution["id"])

    response = await acme.worker.get(f"/worker/executions/{execution['id']}/plan")

    assert response.status_code == 403


async def test_no_secret_is_stored_only_its_keyed_hash(
    acme: Tenant, settings: Settings, test_database: TestDatabase
) -> None:
    execution = await acme.start()
    token = (await acme.claim(execution["id"]))["execution_token"]
    secrets = [acme.api_key, acme.worker_key, acme.session["session_token"], token]

    with psycopg.connect(test_database.superuser_url) as connection:
        stored = connection.execute("SELECT hash, credentials::text FROM credentials").fetchall()

    hashes = {row[0] for row in stored}
    everything = "".join(row[1] for row in stored)
    hasher = Hasher(settings.secret_key.get_secret_value())
    assert hashes == {hasher(secret) for secret in secrets}
    assert not hashes & {hashlib.sha256(secret.encode()).digest() for secret in secrets}
    assert [secret for secret in secrets if secret[7:] in everything] == []


async def test_credentials_are_long_and_told_apart_by_their_prefix(acme: Tenant) -> None:
    execution = await acme.start()
    token = (await acme.claim(execution["id"]))["execution_token"]

    found = {
        acme.api_key: Kind.API_KEY,
        acme.worker_key: Kind.WORKER_KEY,
        acme.session["session_token"]: Kind.WORKER_SESSION,
        token: Kind.EXECUTION_TOKEN,
    }

    assert [secret.startswith(PREFIXES[kind]) for secret, kind in found.items()] == [True] * 4
    assert min(len(secret.removeprefix(PREFIXES[kind])) for secret, kind in found.items()) >= 43


async def test_a_key_of_another_installation_is_unknown(acme: Tenant, settings: Settings) -> None:
    ours = Hasher(settings.secret_key.get_secret_value())
    theirs = Hasher("another-secret-key-of-the-tests-0123")

    assert ours(acme.api_key) != theirs(acme.api_key)
