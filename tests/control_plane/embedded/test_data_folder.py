from pathlib import Path

import pytest

from control_plane.embedded.data_folder import DataFolder, DataFolderInUse

pytestmark = pytest.mark.unit


def test_what_is_kept_is_there_for_the_next_start_and_for_nobody_else(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / "data")
    with folder.locked():
        secret = folder.secret("password")
        folder.keep("other", "value")

    again = DataFolder(tmp_path / "data")

    assert again.kept("password") == secret
    assert again.kept("other") == "value"
    assert again.path.stat().st_mode & 0o777 == 0o700
    assert (again.path / "secrets.json").stat().st_mode & 0o777 == 0o600


def test_secrets_are_long_and_differ(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)

    assert len({folder.secret(name) for name in ("a", "b", "c")}) == 3
    assert len(folder.secret("a")) >= 43


def test_reading_makes_nothing(tmp_path: Path) -> None:
    assert DataFolder(tmp_path / "data").kept("api_key") is None
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_holds_something_else_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("")
    tmp_path.chmod(0o755)

    with pytest.raises(DataFolderInUse, match="holds something else"):
        DataFolder(tmp_path).locked().__enter__()

    assert tmp_path.stat().st_mode & 0o777 == 0o755
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_folder_has_one_stack_at_a_time(tmp_path: Path) -> None:
    with DataFolder(tmp_path).locked(), pytest.raises(DataFolderInUse, match="choose another folder with --data"):
        DataFolder(tmp_path).locked().__enter__()

    with DataFolder(tmp_path).locked():
        pass
