from importlib.metadata import EntryPoint

import pytest

from control_plane.installed_toolsets.service import described
from tests.tenants import Tenant
from toolsets.registry import Registry

pytestmark = pytest.mark.integration


async def test_every_installed_toolset_is_listed_with_its_tools_their_schemas_and_effects(acme: Tenant) -> None:
    response = await acme.client.get("/toolsets")

    listed = {found["name"]: found for found in response.json()}
    tools = {tool["name"]: tool for tool in listed["files"]["tools"]}
    assert response.status_code == 200
    assert list(listed) == sorted(listed)
    assert listed["files"]["status"] == "ready"
    assert listed["files"]["problem"] is None
    assert tools["files_read"]["effect"] == "read"
    assert tools["files_read"]["idempotent"] is True
    assert tools["files_read"]["parameters"]["type"] == "object"
    assert "path" in tools["files_read"]["parameters"]["properties"]
    assert tools["files_read"]["description"] != ""


def test_a_broken_plugin_is_listed_with_the_reason_and_hides_no_other() -> None:
    plugins = [
        EntryPoint("clock", "toolsets.builtin.clock", "control_plane.toolsets"),
        EntryPoint("broken", "no_such_module_of_ours", "control_plane.toolsets"),
    ]

    found = described(Registry(plugins))

    assert [(toolset.name, toolset.status) for toolset in found] == [("broken", "broken"), ("clock", "ready")]
    assert "no_such_module_of_ours" in (found[0].problem or "")
    assert found[0].tools == []


async def test_a_worker_learns_nothing_of_the_server(acme: Tenant) -> None:
    response = await acme.worker.get("/toolsets")

    assert response.status_code == 403
