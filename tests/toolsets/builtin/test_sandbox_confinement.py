"""What a hostile program can't do in the sandbox. Collected only where this machine has one."""

import errno
import os
import platform
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.toolsets.builtin.lifeline import lifeline
from toolsets.builtin.sandbox import PYTHON_FOLDERS, Finished, SandboxSettings, bubblewrap, run
from toolsets.builtin.shell import shell
from toolsets.testing import call

pytestmark = pytest.mark.integration

CANARY = "canary-7f3a9c"


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "workspace"
    folder.mkdir()
    return folder


async def attempt(script: str, workspace: Path, **settings: object) -> Finished:
    return await run(
        ["sh", "-c", script], folder=workspace, settings=SandboxSettings.model_validate(settings), timeout=30
    )


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A file of the worker beside the workspace."""
    file = tmp_path / "secrets.json"
    file.write_text(CANARY)
    return file


@pytest.mark.parametrize(
    "way",
    [
        "cat {outside}",
        "cat /proc/1/root{outside}",
        "cat /proc/self/root{outside}",
        "cat /proc/self/cwd/../secrets.json",
        "cat ../secrets.json",
        "ln -s {outside} link; cat link",
        "ln -s / root; cat root{outside}",
        "ln {outside} hard; cat hard",
        "cat /proc/1/environ /proc/*/environ /proc/*/cmdline",
        "ls /proc/1/fd/*/; cat /proc/1/map_files/* /proc/1/task/1/root{outside}",
        "cat /proc/{pid}/environ; grep -a canary /proc/{pid}/mem",
        "mkdir /tmp/m; mount --bind / /tmp/m; cat /tmp/m{outside}",
        "unshare -Ur sh -c 'mkdir /tmp/m; mount --bind / /tmp/m; cat /tmp/m{outside}'",
        "chroot / cat {outside}",
        "nsenter -t 1 -a cat {outside}",
        "cat /etc/shadow /etc/passwd /root/.bash_history /home/*/.ssh/*; ls /root /home /var /run /opt /srv /mnt",
        "cat /sys/kernel/security/* /proc/kcore /proc/keys; ls /dev/shm /dev/disk; find / -xdev -name secrets.json",
    ],
)
async def test_nothing_of_the_worker_can_be_read(
    workspace: Path, outside: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    monkeypatch.setenv("CANARY", CANARY)
    script = way.format(outside=outside, pid=os.getpid())

    # The links that an attempt leaves are followed by a second one.
    done = await attempt(f"{script}; cat link root{outside} hard", workspace)

    assert CANARY not in done.stdout + done.stderr
    assert done.stderr


async def test_the_folder_is_the_only_place_that_stays_changed(workspace: Path, outside: Path) -> None:
    script = f"""
        for place in / /usr /usr/local/bin /etc /dev /proc/sys/kernel /workspace/.. {outside.parent}; do
            echo bad >$place/made && echo "wrote to $place"
        done
        echo changed >{outside}; chmod 777 /usr/bin; rm -rf /usr/bin/env; echo good >made; echo good >/tmp/made
    """

    done = await attempt(script, workspace)

    assert done.stdout == ""
    assert outside.read_text() == CANARY  # noqa: ASYNC240 - nothing else waits
    assert os.listdir(workspace) == ["made"]  # noqa: PTH208 - a list is what is compared
    assert not os.access("/tmp/made", os.F_OK)
    assert os.access("/usr/bin/env", os.X_OK)


async def test_a_folder_that_is_read_only_stays_as_it_is(workspace: Path) -> None:
    (workspace / "notes.txt").write_text("before")

    done = await attempt("cat notes.txt; echo after >notes.txt; rm notes.txt; touch new", workspace, read_only=True)

    assert done.stdout == "before"
    assert (workspace / "notes.txt").read_text() == "before"
    assert not (workspace / "new").exists()


async def test_only_folders_that_are_listed_can_be_read_besides(workspace: Path, outside: Path) -> None:
    listed = outside.parent / "listed"
    listed.mkdir()
    (listed / "tool").write_text("useful")

    done = await attempt(f"cat {listed}/tool; touch {listed}/new; cat {outside}", workspace, readable=[listed])

    assert done.stdout == "useful"
    assert [file.name for file in listed.iterdir()] == ["tool"]


@pytest.fixture
def listening() -> Iterator[int]:
    """The port of a server on this machine that accepts."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


PYTHON = str(Path("/proc/self/exe").readlink())
CONNECT = "import socket, sys; socket.create_connection(('127.0.0.1', int(sys.argv[1])), 5); print('connected')"


async def connecting(port: int, workspace: Path, *, network: bool) -> Finished:
    return await run(
        [PYTHON, "-I", "-c", CONNECT, str(port)],
        folder=workspace,
        settings=SandboxSettings(network=network, readable=PYTHON_FOLDERS),
        timeout=30,
    )


async def test_there_is_no_network(workspace: Path, listening: int) -> None:
    done = await connecting(listening, workspace, network=False)

    assert done.exit_code == 1
    assert "ConnectionRefusedError" in done.stderr


async def test_there_is_a_network_where_it_is_allowed(workspace: Path, listening: int) -> None:
    done = await connecting(listening, workspace, network=True)

    assert done == Finished(0, "connected\n", "")


async def test_other_processes_can_not_be_seen_or_ended(workspace: Path) -> None:
    done = await attempt(f"ls -d /proc/[0-9]*; kill -9 {os.getpid()}; kill -0 {os.getppid()}", workspace)

    # Bubblewrap's own and the shell.
    assert done.stdout.split() == ["/proc/1", "/proc/2"]
    assert done.stderr.count("No such process") == 2


async def test_there_are_no_rights_to_gain(workspace: Path) -> None:
    done = await attempt("grep -E 'NoNewPrivs|CapEff|CapBnd|Seccomp:' /proc/self/status; id -u", workspace)

    rights = ["CapEff:", "0" * 16, "CapBnd:", "0" * 16, "NoNewPrivs:", "1", "Seccomp:", "2"]
    assert done.stdout.split() == [*rights, "1000"]


async def test_the_terminal_of_the_worker_is_not_the_program_s(workspace: Path) -> None:
    done = await attempt("cat /proc/self/stat | cut -d' ' -f6,7; ls -l /proc/self/fd/0 | grep -c /dev/tty", workspace)

    session, terminal = done.stdout.split()[:2]
    assert session != str(os.getsid(0))
    assert terminal == "0"


async def test_processes_are_bounded(workspace: Path) -> None:
    done = await attempt("for n in $(seq 300); do sleep 60 & done; wait", workspace, processes=20)

    assert done.exit_code != 0
    assert "20 processes" in done.stderr or "annot fork" in done.stderr


async def test_memory_of_all_processes_together_is_bounded(workspace: Path) -> None:
    # Each of them keeps what it is given, because no line ends in it.
    hog = "(head -c 40000000 /dev/zero; sleep 60) | tail >/dev/null &"

    done = await attempt(f"{hog * 4} wait", workspace, memory="100MiB")

    assert done.exit_code == 137
    assert "bytes of memory" in done.stderr


@pytest.mark.parametrize("place", ["/tmp", "/dev/shm"])
async def test_what_is_kept_in_memory_is_bounded(workspace: Path, place: str) -> None:
    done = await attempt(f"head -c 9000000 /dev/zero >{place}/large; ls -s {place}/large", workspace, temporary="1MiB")

    assert "No space left" in done.stderr


async def test_what_a_program_leaves_behind_ends_with_it(workspace: Path) -> None:
    os.mkfifo(workspace / "told")
    hold = "exec 3>lifeline; echo begun >&3; echo >told; sleep 1234"

    async with lifeline(workspace) as line:
        await attempt(f"setsid sh -c '{hold}' & read line <told", workspace)

        await line.begun()
        await line.ended()


@pytest.mark.parametrize("line", ["id", "/usr/bin/id", "sh -c id", "env id", "./id"])
async def test_a_denied_command_can_not_be_run_by_others_either(workspace: Path, line: str) -> None:
    (workspace / "id").symlink_to("/usr/bin/id")

    tried = await denied(workspace, line)

    assert "uid=" not in tried


async def denied(workspace: Path, line: str) -> str:
    try:
        return str(await call(shell, "run", settings={"denied_commands": ["id"]}, workspace=workspace, command=line))
    except Exception as failure:  # noqa: BLE001 - its text is what the test looks at
        return str(failure)


CALL = """
import ctypes, sys
print(ctypes.CDLL(None, use_errno=True).syscall(int(sys.argv[1]), 0, 0, 0), ctypes.get_errno())
"""
KEYCTL = {"x86_64": 250, "aarch64": 219}[platform.machine()]


@pytest.mark.parametrize("number", [KEYCTL, 425, 426, 427])
async def test_system_calls_that_go_round_namespaces_fail(workspace: Path, number: int) -> None:
    done = await run(
        [PYTHON, "-I", "-c", CALL, str(number)],
        folder=workspace,
        settings=SandboxSettings(readable=PYTHON_FOLDERS),
        timeout=30,
    )

    assert done == Finished(0, f"-1 {errno.ENOSYS}\n", "")


def test_bubblewrap_keeps_programs_from_making_namespaces() -> None:
    assert bubblewrap.bubblewrap().strict
