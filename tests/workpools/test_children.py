import asyncio
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.workpools import probe
from tests.workpools.workshop import ROOT, Workshop, assignment, is_gone, worker_environment
from workpools.children import Children, ForkServerGone

pytestmark = pytest.mark.integration


async def test_a_child_has_none_of_the_workers_credentials_and_what_it_is_meant_to_have(workshop: Workshop) -> None:
    code, told = await workshop.carried_out(probe.ENVIRONMENT)

    assert code == 0
    assert "canary" not in str(told)
    assert told["environment"]["KUBECONFIG"] == "/etc/cluster"
    assert told["environment"]["PATH"] == os.environ["PATH"]


async def test_a_child_can_read_neither_its_parent_nor_its_sibling(workshop: Workshop) -> None:
    sibling = await workshop.child()
    server = workshop.children._server
    assert server

    code, told = await workshop.carried_out(probe.SPY, control_plane_url=f"{server.pid} {sibling.pid}")

    assert code == 0
    assert told == ["PermissionError"] * 4


async def test_a_child_carries_out_one_assignment_and_another_takes_its_place(workshop: Workshop) -> None:
    first, second = await workshop.child(), await workshop.child()
    first.assign(assignment(probe.LIMITS))
    ended = await first.ended

    third = await workshop.child()

    assert ended == 0
    assert len({first.pid, second.pid, third.pid}) == 3
    assert is_gone(first.pid or 0)


async def test_a_child_is_bounded_and_has_no_file_of_others(workshop: Workshop) -> None:
    _, (limits, files) = await workshop.carried_out(probe.LIMITS)

    assert limits == [[4 << 30, 4 << 30], [1024, 1024], [0, 0]]
    assert files == [0, 1, 2]


async def test_what_a_child_leaves_in_its_folder_is_removed(workshop: Workshop) -> None:
    code, (folder, temporary, home) = await workshop.carried_out(probe.WRITE)
    await asyncio.wait(workshop.children._tasks, timeout=60, return_when=asyncio.FIRST_COMPLETED)

    assert code == 0
    assert folder == temporary == home
    assert not await asyncio.to_thread(Path(folder).exists)


async def test_what_a_child_prints_is_in_the_workers_log_with_its_execution(
    workshop: Workshop, capsys: pytest.CaptureFixture[str]
) -> None:
    code, lines = await workshop.carried_out(probe.FAIL)

    assert code == 3
    assert lines == ["this goes wrong"]


async def test_a_killed_child_is_noticed_and_replaced(workshop: Workshop) -> None:
    child = await workshop.child()
    child.assign(assignment(probe.SLEEP))
    await workshop.told(child)

    os.kill(child.pid or 0, signal.SIGKILL)
    async with asyncio.timeout(10):
        code = await child.ended

    assert code == -signal.SIGKILL
    assert (await workshop.child()).pid != child.pid


async def test_what_a_child_has_started_ends_with_it(workshop: Workshop) -> None:
    _, pid = await workshop.carried_out(probe.LEAVE_BEHIND)

    assert is_gone(pid)


async def test_children_die_with_the_server_that_forked_them_and_another_is_started(workshop: Workshop) -> None:
    child = await workshop.child()
    child.assign(assignment(probe.SLEEP))
    await workshop.told(child)
    server = workshop.children._server
    assert server

    server.kill()

    with pytest.raises(ForkServerGone):
        await child.ended
    assert is_gone(child.pid or 0)
    assert (await workshop.child()).pid != child.pid


async def test_children_can_be_killed_with_all_that_they_have_started(workshop: Workshop) -> None:
    child = await workshop.child()
    child.assign(assignment(probe.SLEEP))
    await workshop.told(child)

    workshop.children.kill(child)

    assert await child.ended == -signal.SIGKILL


async def test_one_beyond_those_that_are_ready_is_forked_and_not_replaced(workshop: Workshop) -> None:
    taken = [await workshop.child() for _ in range(2)]
    children = workshop.children

    async with asyncio.timeout(60):
        beyond = await children.take(beyond=True)
    children.kill(beyond)
    await beyond.ended

    assert beyond not in taken
    assert set(children._children.values()) == set(taken)


WORKER = """
import asyncio, os
from workpools.children import Children

async def main():
    async with Children("tests.workpools.probe", ready=2, environment=dict(os.environ)) as children:
        pids = [(await children.take()).pid, (await children.take()).pid]
        print(children._server.pid, *pids, children._root, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


def test_nothing_of_a_killed_worker_lives_on_and_the_next_one_removes_its_folders() -> None:
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER], stdout=subprocess.PIPE, env=worker_environment(), text=True, cwd=ROOT
    )
    assert worker.stdout
    *pids, folder = worker.stdout.readline().split()

    worker.kill()
    worker.communicate()

    assert [is_gone(int(pid)) for pid in pids] == [True] * 3
    assert Path(folder).exists()
    asyncio.run(_opened_and_closed())
    assert not Path(folder).exists()


async def _opened_and_closed() -> None:
    async with Children("tests.workpools.probe", ready=1, environment=worker_environment()):
        pass


async def test_leaving_ends_all_children_and_removes_their_folders() -> None:
    async with Children("tests.workpools.probe", ready=2, environment=worker_environment()) as children:
        one, other = await children.take(), await children.take()

    assert is_gone(one.pid or 0)
    assert is_gone(other.pid or 0)
    assert not one.folder.parent.exists()


async def test_a_program_that_can_not_be_imported_is_tried_again_later_and_not_at_once(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    async with Children("tests.workpools.no_such_program", ready=1, environment=worker_environment()) as children:
        server = children._server
        assert server
        await asyncio.to_thread(server.wait)
        async with asyncio.timeout(10):
            await children.lost.wait()

    assert re.search(r"No module named .tests\.workpools\.no_such_program", capfd.readouterr().err)
    assert "starting another in 5 s" in caplog.text
