from pathlib import Path

import pytest

from control_plane.cli.failures import Failure
from control_plane.cli.places import control_plane

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
