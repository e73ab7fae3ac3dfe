import os
import pwd
from pathlib import Path

import psycopg
import pytest

import migrations
from control_plane.embedded.postgres import DATABASE, LOGIN, OWNER, Postgres
from control_plane.embedded.processes import ProcessFailed

pytestmark = pytest.mark.integration


def test_the_server_asks_for_a_password_and_listens_on_loopback_only(postgres: Postgres) -> None:
    with psycopg.connect(postgres.url()) as connection:
        settings = connection.execute(
            "SELECT current_setting('listen_addresses'), current_setting('password_encryption'),"
            " current_setting('unix_socket_directories')"
        ).fetchone()

    assert settings == ("127.0.0.1", "scram-sha-256", "")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(postgres.url(password="wrong"))


def test_the_server_never_runs_as_root(postgres: Postgres) -> None:
    owner = Path(f"/proc/{postgres.process.popen.pid}").stat().st_uid

    assert owner == (pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else os.geteuid())


def test_the_password_is_in_no_command_line_and_no_environment(postgres: Postgres) -> None:
    process = Path(f"/proc/{postgres.process.popen.pid}")

    assert postgres.superuser_password.encode() not in (process / "cmdline").read_bytes()
    assert postgres.superuser_password.encode() not in (process / "environ").read_bytes()


def test_data_survives_a_restart_on_the_same_port(tmp_path: Path) -> None:
    first = Postgres.start(tmp_path / "data", log=tmp_path / "log", password="p", durable=False)
    try:
        first.ensure_database(owner_password="o", login_password="l")
        migrations.upgrade(first.url(login=OWNER, password="o", database=DATABASE), grant_to=LOGIN)
    finally:
        first.stop()
    second = Postgres.start(tmp_path / "data", log=tmp_path / "log", password="p", durable=False)
    try:
        second.ensure_database(owner_password="o", login_password="changed")
        with psycopg.connect(second.url(login=LOGIN, password="changed", database=DATABASE)) as connection:
            role = connection.execute("SELECT rolsuper, rolbypassrls FROM pg_roles WHERE rolname = CURRENT_USER")

            assert role.fetchone() == (False, False)
    finally:
        second.stop()
    assert first.port == second.port


def test_a_start_that_was_cut_off_begins_again(tmp_path: Path) -> None:
    half_made = tmp_path / "data.new"
    half_made.mkdir()
    (half_made / "PG_VERSION").write_text("18")

    server = Postgres.start(tmp_path / "data", log=tmp_path / "log", password="p", durable=False)

    server.stop()
    assert not half_made.exists()


def test_a_broken_cluster_is_told_with_its_log(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "PG_VERSION").write_text("9")

    with pytest.raises(ProcessFailed, match=r"(?s)PostgreSQL ended with exit code \d.*Its log is"):
        Postgres.start(tmp_path / "data", log=tmp_path / "log", password="p", durable=False)
