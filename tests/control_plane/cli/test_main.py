import json
import subprocess
import sys
from pathlib import Path

import pytest

from control_plane import __version__
from control_plane.embedded.programs import program

pytestmark = pytest.mark.integration

_MODULES_AFTER_HELP = """
import json, sys
sys.argv = ["control-plane", "--help"]
from control_plane.cli.main import main
try:
    main()
finally:
    print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""


def control_plane(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [program("control-plane"), *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def test_help_names_every_command_and_loads_nothing_heavy() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _MODULES_AFTER_HELP], capture_output=True, text=True, timeout=60, check=True
    )

    loaded = set(json.loads(done.stderr))
    heavy = {"prefect", "sqlalchemy", "alembic", "psycopg", "fastapi", "litellm", "agno", "httpx", "pydantic"}
    assert [
        name for name in ("dev", "run", "keys", "migrate", "rotate-encryption-key", "doctor") if name not in done.stdout
    ] == []
    assert loaded & heavy == set()


def test_the_version_is_printed() -> None:
    done = subprocess.run(
        [program("control-plane"), "--version"], capture_output=True, text=True, timeout=60, check=True
    )

    assert done.stdout == f"control-plane {__version__}\n"


def test_an_unknown_option_is_refused() -> None:
    done = control_plane("dev", "--prot", "1")

    assert done.returncode == 2
    assert "No such option" in done.stderr


def test_what_went_wrong_is_told_in_a_sentence_without_a_traceback(tmp_path: Path) -> None:
    done = control_plane("run", "nobody", "hello", "--data", str(tmp_path))

    assert done.returncode == 1
    assert done.stderr.startswith(f"Error: There is no control plane in {tmp_path}. Start one with `control-plane dev`")
    assert "Traceback" not in done.stderr
