import pytest

from control_plane.cli.failures import explained
from control_plane.embedded.own_database import OwnDatabase
from control_plane.embedded.processes import ProcessFailed

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("url", ["mysql://u:hidden@127.0.0.1/x", "not a url hidden", "sqlite:///hidden.db"])
def test_a_database_that_is_no_postgresql_is_refused_without_quoting_its_password(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", url)

    with pytest.raises(ProcessFailed, match="postgresql://") as failed:
        OwnDatabase.named()

    assert "hidden" not in str(failed.value)


def test_the_short_name_of_postgresql_is_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://u:p@127.0.0.1/x")

    assert OwnDatabase.named() == OwnDatabase("postgres://u:p@127.0.0.1/x", "postgres://u:p@127.0.0.1/x")


def test_a_folder_that_can_not_be_made_is_told_and_a_bug_is_not() -> None:
    assert explained(PermissionError(13, "Permission denied", "/srv/data")) == "/srv/data: Permission denied."
    assert explained(KeyError("x")) is None
