"""A provider of a tenant must not lead the server to what stands around it."""

import httpx
import pytest

from control_plane.llm import public_addresses
from control_plane.settings import Settings
from tests.control_plane.model_providers.conftest import ask, caller, has_provider, in_every_dialect
from tests.provider.server import Provider
from tests.provider.turns import says
from tests.tenants import Tenant
from toolsets.builtin.addresses import may_be_reached


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """A server that many share."""
    return settings.model_copy(update={"private_model_providers": False})


@pytest.mark.integration
@pytest.mark.parametrize("kind", ["openai_compatible", "anthropic"])
async def test_an_address_of_this_machine_is_not_connected_to_in_any_dialect(
    acme: Tenant, provider: Provider, kind: str
) -> None:
    await has_provider(acme, provider, name="mine", kind=kind)

    async with caller(acme, "mine/gpt-tests") as calling:
        answers = await in_every_dialect(calling, "mine/gpt-tests")

    assert [(answer.status_code, answer.json()["error"]["code"]) for answer in answers] == [(503, "unavailable")] * 3
    assert provider.requests == []


@pytest.mark.integration
async def test_a_name_counts_by_what_it_stands_for_when_it_is_connected_to(acme: Tenant, provider: Provider) -> None:
    port = provider.url.rpartition(":")[2]
    await has_provider(acme, provider, base_url=f"http://localhost:{port}/v1")

    async with caller(acme, "openai/gpt-tests") as calling:
        answer = await ask(calling, "openai/gpt-tests")

    assert answer.json()["error"]["code"] == "unavailable"
    assert provider.requests == []


@pytest.mark.unit
@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
        "::1", "::", "fe80::1", "fe80::1%eth0", "fd00::1", "fc00::1", "ff02::1", "::ffff:127.0.0.1",
        "::ffff:169.254.169.254", "64:ff9b::7f00:1", "2002:7f00:1::", "fd00:ec2::254",
        "168.63.129.16", "192.0.0.192", "fec0::1", "64:ff9b:1::a9fe:a9fe", "::a9fe:a9fe", "::ffff:0:a9fe:a9fe",
    ],
)  # fmt: skip
def test_private_addresses_are_told_however_they_are_written(address: str) -> None:
    assert not may_be_reached(address)


@pytest.mark.unit
@pytest.mark.parametrize("address", ["1.1.1.1", "104.18.6.192", "2606:4700::6812:6c0", "64:ff9b::101:101"])
def test_public_addresses_are_let_through(address: str) -> None:
    assert may_be_reached(address)


@pytest.mark.integration
async def test_an_answer_from_outside_is_bounded(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(public_addresses, "may_be_reached", lambda _: True)
    monkeypatch.setattr(public_addresses, "MOST_BYTES", 1_000)
    provider.will(says("x" * 3_000))
    asked = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}

    async with httpx.AsyncClient(transport=public_addresses.PublicTransport(limits=httpx.Limits())) as client:
        with pytest.raises(httpx.ReadError, match="too large"):
            await client.post(f"{provider.openai_url}/chat/completions", json=asked)
