from pathlib import Path

import pytest

from control_plane.cli import saved_login
from control_plane.cli.failures import Failure
from control_plane.cli.places import control_plane, embedded
from control_plane.embedded.data_folder import DataFolder

pytestmark = pytest.mark.unit


def test_the_environment_comes_before_the_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTROL_PLANE_URL", "http://elsewhere.test")
    monkeypatch.setenv("CONTROL_PLANE_API_KEY", "cp_key_1")

    found = control_plane(tmp_path)

    assert (found.url, found.api_key) == ("http://elsewhere.test", "cp_key_1")
    assert "cp_key_1" not in repr(found)


@pytest.mark.parametrize(
    ("given", "missing"),
    [("CONTROL_PLANE_URL", "CONTROL_PLANE_API_KEY"), ("CONTROL_PLANE_API_KEY", "CONTROL_PLANE_URL")],
)
def test_half_a_setting_is_refused(given: str, missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(given, "x")

    with pytest.raises(Failure, match=f"{missing} is not set"):
        control_plane(tmp_path)


def test_an_empty_data_folder_is_answered_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="Start one with `control-plane dev`"):
        control_plane(tmp_path)


@pytest.fixture
def signed_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A person who is signed in."""
    monkeypatch.setenv("CONTROL_PLANE_CONFIG", str(tmp_path / "config"))
    saved_login.keep("http://saved.test", "cp_key_saved")


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    """The data folder of an embedded stack."""
    folder = DataFolder(tmp_path / "data")
    folder.path.mkdir()
    folder.keep("api_url", "http://stack.test")
    folder.keep("api_key", "cp_key_stack")
    return folder.path


def test_where_one_is_signed_in_is_found(signed_in: None) -> None:
    found = control_plane(None)

    assert (found.url, found.api_key) == ("http://saved.test", "cp_key_saved")


def test_the_environment_comes_before_the_saved_login(signed_in: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTROL_PLANE_URL", "http://elsewhere.test")
    monkeypatch.setenv("CONTROL_PLANE_API_KEY", "cp_key_1")

    assert control_plane(None).url == "http://elsewhere.test"


def test_a_data_folder_that_is_named_comes_before_the_saved_login(signed_in: None, stack: Path) -> None:
    assert control_plane(stack).url == "http://stack.test"


def test_the_keys_of_the_embedded_stack_are_its_own_whoever_is_signed_in(signed_in: None, stack: Path) -> None:
    assert embedded(stack).api_key == "cp_key_stack"
