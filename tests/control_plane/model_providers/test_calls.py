"""Models of an organization's own providers, aliases and fallbacks, called by executions."""

import asyncio
import logging
from typing import Any

import pytest

from control_plane.model_providers.directory import OrganizationDirectory
from tests.conftest import TestDatabase
from tests.control_plane.model_providers.conftest import ask, caller, has_provider, in_every_dialect
from tests.control_plane.secrets.test_leaks import dumped
from tests.provider.server import KEY, Provider
from tests.provider.turns import fails, limited, overloaded, says
from tests.tenants import Tenant, created

pytestmark = pytest.mark.integration


async def test_an_execution_calls_the_provider_of_its_organization_with_the_key_of_its_secret(
    acme: Tenant, own: dict[str, Any], provider: Provider
) -> None:
    provider.will(says("Hello."))

    async with caller(acme, "openai/gpt-tests") as calling:
        answer = await ask(calling, "openai/gpt-tests")

    assert answer.json()["choices"][0]["message"]["content"] == "Hello."
    assert [(asked.key, asked.body["model"]) for asked in provider.requests] == [(KEY, "gpt-tests")]


@pytest.mark.parametrize("kind", ["openai", "openai_compatible", "azure", "ollama", "anthropic"])
async def test_every_kind_with_an_address_answers_in_every_dialect(acme: Tenant, provider: Provider, kind: str) -> None:
    provider.will_always(says("Hello."))
    provider.accept_only(KEY)
    await has_provider(acme, provider, name="mine", kind=kind)

    async with caller(acme, "mine/gpt-tests") as calling:
        answers = await in_every_dialect(calling, "mine/gpt-tests")

    assert [(answer.status_code, "Hello." in answer.text) for answer in answers] == [(200, True)] * 3
    assert {asked.key for asked in provider.requests} == {KEY}


async def test_another_organization_has_no_part_in_it(
    acme: Tenant, globex: Tenant, own: dict[str, Any], provider: Provider
) -> None:
    async with caller(globex, "openai/gpt-tests") as calling:
        answer = await ask(calling, "openai/gpt-tests")
    seen = await globex.client.get(f"/model-providers/{own['id']}")
    listed = await globex.client.get("/model-providers")

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "provider_key_missing")
    assert (seen.status_code, listed.json()) == (404, [])
    assert provider.requests == []


async def test_the_secret_of_another_organization_is_not_found_under_its_name(
    acme: Tenant, globex: Tenant, own: dict[str, Any], provider: Provider
) -> None:
    body = {"name": "openai", "kind": "openai", "base_url": provider.openai_url, "secret": "models"}

    refused = await globex.client.post("/model-providers", json=body)

    assert refused.status_code == 422
    assert refused.json()["errors"][0]["location"] == "body.secret"


async def test_a_secret_of_one_environment_is_no_key_for_all(acme: Tenant, provider: Provider) -> None:
    secret = {"name": "local", "value": KEY, "environment_id": acme.environment["id"]}
    await created(acme.client, "/secrets", secret)
    body = {"name": "openai", "kind": "openai", "base_url": provider.openai_url, "secret": "local"}

    refused = await acme.client.post("/model-providers", json=body)

    assert refused.status_code == 422
    assert "for one environment alone" in refused.json()["detail"]


async def test_a_replaced_key_is_used_within_five_seconds_and_its_release_is_audited_once_for_each_version(
    acme: Tenant, own: dict[str, Any], provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OrganizationDirectory, "REMEMBER", OrganizationDirectory.REMEMBER * 0)
    provider.will_always(says("Hello."))

    async with caller(acme, "openai/gpt-tests") as calling:
        await ask(calling, "openai/gpt-tests")
        await ask(calling, "openai/gpt-tests")
        await acme.client.put("/secrets/models", json={"value": "sk-the-next-key-0123456789"})
        await ask(calling, "openai/gpt-tests")

    log = await acme.client.get(
        f"/organizations/{acme.organization['id']}/audit-log", params={"action": "secrets:release"}
    )
    assert [asked.key for asked in provider.requests] == [KEY, KEY, "sk-the-next-key-0123456789"]
    assert [(entry["actor"], entry["resource_id"]) for entry in log.json()] == [("llm_gateway", "models")] * 2


async def test_without_its_secret_a_provider_says_what_to_store(
    acme: Tenant, own: dict[str, Any], provider: Provider
) -> None:
    await acme.client.delete("/secrets/models")

    async with caller(acme, "openai/gpt-tests") as calling:
        answer = await ask(calling, "openai/gpt-tests")

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "provider_key_missing")
    assert "Store it as the secret models of the organization" in answer.json()["error"]["message"]
    assert provider.requests == []


@pytest.mark.parametrize("value", ["os.environ/CONTROL_PLANE_SECRET_KEY", "line\nbreak", " "])
async def test_a_value_that_is_no_key_is_sent_to_nobody(acme: Tenant, provider: Provider, value: str) -> None:
    await has_provider(acme, provider, key=value)

    async with caller(acme, "openai/gpt-tests") as calling:
        answer = await ask(calling, "openai/gpt-tests")

    assert answer.json()["error"]["code"] == "provider_key_missing"
    assert provider.requests == []


async def test_a_google_account_that_leads_elsewhere_is_refused(acme: Tenant, provider: Provider) -> None:
    account = f'{{"type": "external_account", "token_uri": "{provider.url}/token"}}'
    parameters = {"vertex_project": "my-project", "vertex_location": "europe-west1"}
    await has_provider(
        acme, provider, name="google", kind="vertex_ai", base_url=None, key=account, parameters=parameters
    )

    async with caller(acme, "google/gemini") as calling:
        answer = await ask(calling, "google/gemini")

    assert answer.json()["error"]["code"] == "provider_key_missing"
    assert "service account" in answer.json()["error"]["message"]


async def test_a_server_that_shares_no_keys_calls_no_model_with_them(
    acme: Tenant, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-server-0123456789")
    monkeypatch.setenv("OPENAI_BASE_URL", provider.openai_url)

    async with caller(acme, "openai/gpt-tests") as calling:
        answer = await ask(calling, "openai/gpt-tests")

    assert answer.json()["error"]["code"] == "provider_key_missing"
    assert "this server shares no keys" in answer.json()["error"]["message"]
    assert provider.requests == []


async def test_the_next_model_of_an_alias_steps_in(acme: Tenant, own: dict[str, Any], provider: Provider) -> None:
    provider.will(overloaded(), says("I step in."))
    await created(acme.client, "/model-aliases", {"name": "fast", "models": ["openai/first", "openai/second"]})

    async with caller(acme, "alias/fast") as calling:
        answer = await ask(calling, "fast")

    assert answer.json()["choices"][0]["message"]["content"] == "I step in."
    assert [asked.body["model"] for asked in provider.requests] == ["first", "second"]


async def test_a_fallback_may_speak_another_dialect(acme: Tenant, own: dict[str, Any], provider: Provider) -> None:
    provider.will(fails("context"), says("I step in."))
    await has_provider(acme, provider, name="claude", kind="anthropic")
    alias = {"name": "long", "models": ["openai/first", "claude/second"], "fallback_on": ["context_too_long"]}
    await created(acme.client, "/model-aliases", alias)

    async with caller(acme, "alias/long") as calling:
        answer = await ask(calling, "alias/long", stream=True)

    assert "I step" in answer.text
    assert [(asked.dialect, asked.body["model"]) for asked in provider.requests] == [
        ("chat_completions", "first"),
        ("messages", "second"),
    ]


async def test_errors_that_the_alias_does_not_name_are_the_answer(
    acme: Tenant, own: dict[str, Any], provider: Provider
) -> None:
    provider.will(fails("context"))
    await created(acme.client, "/model-aliases", {"name": "fast", "models": ["openai/first", "openai/second"]})

    async with caller(acme, "alias/fast") as calling:
        answer = await ask(calling, "alias/fast")

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "context_too_long")
    assert len(provider.requests) == 1


async def test_nothing_steps_in_once_an_answer_has_begun(acme: Tenant, own: dict[str, Any], provider: Provider) -> None:
    provider.will(says("Half").cut_off(), says("Never said."))
    await created(acme.client, "/model-aliases", {"name": "fast", "models": ["openai/first", "openai/second"]})

    async with caller(acme, "alias/fast") as calling:
        answer = await ask(calling, "alias/fast", stream=True)

    assert "Half" in answer.text
    assert "stream_interrupted" in answer.text
    assert "[DONE]" not in answer.text
    assert provider.left == 1


async def test_a_failure_that_may_pass_is_tried_again_as_often_as_the_provider_allows(
    acme: Tenant, provider: Provider
) -> None:
    provider.will(limited("0"), limited("0"), says("At last."), limited("0"), limited("0"), limited("0"))
    await has_provider(acme, provider, retries=2)

    async with caller(acme, "openai/gpt-tests") as calling:
        answer = await ask(calling, "openai/gpt-tests")
        given_up = await ask(calling, "openai/gpt-tests")

    assert answer.json()["choices"][0]["message"]["content"] == "At last."
    assert given_up.status_code == 429
    assert len(provider.requests) == 6


async def test_a_provider_that_wants_a_long_pause_is_not_waited_for(acme: Tenant, provider: Provider) -> None:
    provider.will(limited("60"))
    await has_provider(acme, provider, retries=5)

    async with caller(acme, "openai/gpt-tests") as calling:
        answer = await ask(calling, "openai/gpt-tests")

    assert (answer.status_code, answer.headers["retry-after"]) == (429, "60")
    assert len(provider.requests) == 1


async def test_a_removed_alias_ends_for_executions_under_way(
    acme: Tenant, own: dict[str, Any], provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OrganizationDirectory, "REMEMBER", OrganizationDirectory.REMEMBER * 0)
    provider.will(says("Hello."))
    alias = await created(acme.client, "/model-aliases", {"name": "fast", "models": ["openai/first"]})

    async with caller(acme, "alias/fast") as calling:
        before = await ask(calling, "alias/fast")
        await acme.client.delete(f"/model-aliases/{alias['id']}")
        after = await ask(calling, "alias/fast")

    assert (before.status_code, after.status_code) == (200, 404)
    assert "no model alias fast" in after.json()["error"]["message"]


async def test_the_key_is_in_no_answer_no_log_and_nowhere_in_the_database(
    acme: Tenant,
    own: dict[str, Any],
    provider: Provider,
    test_database: TestDatabase,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    provider.will(says("Hello."), fails("bad", message=f"The key {KEY} has no luck"), fails("key", message=KEY))

    async with caller(acme, "openai/gpt-tests") as calling:
        answers = [await ask(calling, "openai/gpt-tests", stream=stream) for stream in (False, True, False)]
    read = await acme.client.get(f"/model-providers/{own['id']}")
    stored = await asyncio.to_thread(dumped, test_database.superuser_url)

    printed = capfd.readouterr()
    everything = [answer.text + str(answer.headers) for answer in [*answers, read]]
    everything += [str(vars(record)) for record in caplog.records]
    assert KEY not in "\n".join([*everything, caplog.text, printed.out, printed.err])
    assert KEY.encode() not in stored
    assert [asked.key for asked in provider.requests] == [KEY] * 3
