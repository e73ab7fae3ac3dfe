import stat
from pathlib import Path

import pytest

from control_plane.cli import saved_login
from control_plane.cli.failures import Failure

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the saved login, which doesn't exist yet."""
    monkeypatch.setenv("CONTROL_PLANE_CONFIG", str(tmp_path / "config"))
    return tmp_path / "config"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_what_is_kept_is_read_again_and_only_its_owner_can_read_it(folder: Path) -> None:
    path = saved_login.keep("http://saved.test", "cp_key_1")

    assert saved_login.read() == ("http://saved.test", "cp_key_1")
    assert (mode(folder), mode(path)) == (0o700, 0o600)
    assert list(folder.iterdir()) == [path]


def test_a_folder_that_is_open_to_others_is_closed(folder: Path) -> None:
    folder.mkdir(mode=0o755)

    saved_login.keep("http://saved.test", "cp_key_1")

    assert mode(folder) == 0o700


def test_a_file_that_somebody_left_for_us_to_write_into_is_not_used(folder: Path, tmp_path: Path) -> None:
    folder.mkdir()
    trap = tmp_path / "trap"
    trap.touch(mode=0o666)
    (folder / "login.new").symlink_to(trap)

    path = saved_login.keep("http://saved.test", "cp_key_1")

    assert trap.read_text() == ""
    assert mode(path) == 0o600


def test_a_later_login_replaces_an_earlier_one() -> None:
    saved_login.keep("http://first.test", "cp_key_1")
    saved_login.keep("http://second.test", "cp_key_2")

    assert saved_login.read() == ("http://second.test", "cp_key_2")


def test_nothing_is_kept_at_first_and_after_forgetting() -> None:
    before = saved_login.read()
    saved_login.keep("http://saved.test", "cp_key_1")

    assert [saved_login.forget(), saved_login.forget()] == [True, False]
    assert [before, saved_login.read()] == [None, None]


@pytest.mark.parametrize("open_to", [0o640, 0o604, 0o660])
def test_a_key_that_others_can_read_is_not_used(open_to: int) -> None:
    path = saved_login.keep("http://saved.test", "cp_key_1")
    path.chmod(open_to)

    with pytest.raises(Failure, match=r"Other users can read .*chmod 600"):
        saved_login.read()


@pytest.mark.parametrize("content", ["", "[]", '{"url": "http://saved.test"}', "\x00"])
def test_a_damaged_file_is_answered_with_what_to_do(content: str) -> None:
    saved_login.keep("http://saved.test", "cp_key_1").write_text(content)

    with pytest.raises(Failure, match="Sign in again"):
        saved_login.read()
