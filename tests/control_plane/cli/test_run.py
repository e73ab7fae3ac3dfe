import asyncio
from pathlib import Path

import pytest
import typer

from control_plane.cli import keys, run
from control_plane.cli.failures import Failure
from control_plane.embedded.data_folder import DataFolder
from tests.orchestrator import FakeOrchestrator
from tests.tenants import Tenant, created

pytestmark = pytest.mark.integration


@pytest.fixture
def data(tmp_path: Path, api_url: str, acme: Tenant) -> Path:
    """The data folder of a stack whose API is the test's."""
    folder = DataFolder(tmp_path)
    folder.keep("api_url", api_url)
    folder.keep("api_key", acme.api_key)
    folder.keep("prefect_password", "of-prefect")
    return tmp_path


async def start(agent: str, *, data: Path, follow: bool = False, context: list[str] | None = None) -> None:
    await asyncio.to_thread(run.start, agent, "hello", context=context or [], follow=follow, data=data)


async def test_an_agent_is_found_by_its_name_and_context_is_passed_on(
    data: Path, acme: Tenant, capsys: pytest.CaptureFixture[str]
) -> None:
    await start("Assistant", data=data, context=["environment=staging", "note=a=b"])

    execution = (await acme.client.get(f"/executions/{capsys.readouterr().out.strip()}")).json()
    assert execution["agent_id"] == acme.agent["id"]
    assert execution["input"] == {"message": "hello", "context": {"environment": "staging", "note": "a=b"}}


async def test_an_agent_is_found_by_its_id(data: Path, acme: Tenant, capsys: pytest.CaptureFixture[str]) -> None:
    await start(acme.agent["id"], data=data)

    execution = (await acme.client.get(f"/executions/{capsys.readouterr().out.strip()}")).json()
    assert execution["agent_id"] == acme.agent["id"]


async def test_an_unknown_agent_is_answered_with_those_that_there_are(data: Path) -> None:
    with pytest.raises(Failure, match=r"There is no agent 'Asistant'. There are: Assistant\."):
        await start("Asistant", data=data)


async def test_an_ambiguous_name_is_answered_with_the_ids(data: Path, acme: Tenant) -> None:
    other = await created(
        acme.client, "/environments", {"name": "Other", "slug": "other", "project_id": acme.project["id"]}
    )
    twin = await created(
        acme.client,
        "/agents",
        {"name": "Assistant", "environment_id": other["id"], "llm_config": {"provider": "scripted", "model": "script"}},
    )

    with pytest.raises(Failure, match=twin["id"]):
        await start("Assistant", data=data)


async def test_malformed_context_is_refused(data: Path) -> None:
    with pytest.raises(Failure, match="--context takes NAME=VALUE"):
        await start("Assistant", data=data, context=["staging"])


async def test_following_an_execution_that_does_not_complete_exits_1(
    data: Path, acme: Tenant, orchestrator: FakeOrchestrator, capsys: pytest.CaptureFixture[str]
) -> None:
    following = asyncio.create_task(start("Assistant", data=data, follow=True))
    await asyncio.wait_for(orchestrator.asked_to_start.wait(), 10)

    await acme.client.delete(f"/executions/{orchestrator.started[0].execution_id}")

    with pytest.raises(typer.Exit) as ended:
        await following
    assert ended.value.exit_code == 1
    assert "Cancelled before a worker had claimed it." in capsys.readouterr().out


async def test_keys_are_printed_as_shell_variables(
    data: Path, api_url: str, acme: Tenant, capsys: pytest.CaptureFixture[str]
) -> None:
    keys.show(data)

    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        f"export CONTROL_PLANE_URL={api_url}",
        f"export CONTROL_PLANE_API_KEY={acme.api_key}",
        "# The Prefect UI asks for: admin:of-prefect",
    ]
