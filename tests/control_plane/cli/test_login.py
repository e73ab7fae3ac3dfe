"""`control-plane login`, `logout` and `token` as people type them, against a real server."""

import asyncio
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import HttpUrl, SecretStr

from control_plane.auth.local_issuer import new_key
from control_plane.embedded.data_folder import DataFolder
from control_plane.embedded.programs import program
from control_plane.settings import Settings
from tests.tenants import Tenant, client, created

pytestmark = pytest.mark.integration

KEYS = new_key()
PUBLIC_URL = "http://control-plane.test:7777"


@dataclass(frozen=True, slots=True)
class Terminal:
    """A person's terminal, with a config folder of its own."""

    config: Path

    async def run(
        self, *arguments: str, typed: str = "", variables: dict[str, str] | None = None
    ) -> "subprocess.CompletedProcess[str]":
        """A command in a process of its own, waited for in a thread: the server it talks to runs in this loop."""
        environment = {"PATH": os.environ["PATH"], "CONTROL_PLANE_CONFIG": str(self.config)} | (variables or {})
        return await asyncio.to_thread(
            subprocess.run,
            [program("control-plane"), *arguments],
            input=typed,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    """A terminal of somebody who isn't signed in."""
    return Terminal(tmp_path / "config")


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Settings of a server with an issuer of its own."""
    return settings.model_copy(update={"local_issuer_keys": SecretStr(KEYS), "public_url": HttpUrl(PUBLIC_URL)})


async def test_a_key_that_counts_is_kept_and_used_by_the_next_command(
    terminal: Terminal, acme: Tenant, api_url: str
) -> None:
    signed_in = await terminal.run("login", "--api-key", "--url", api_url, typed=f"{acme.api_key}\n")
    started = await terminal.run("run", "Assistant", "What time is it?")

    assert signed_in.returncode == 0, signed_in.stderr
    assert f"Signed in to {api_url} (acme)" in signed_in.stdout
    assert acme.api_key not in signed_in.stdout + signed_in.stderr
    assert started.returncode == 0, started.stderr
    assert (await acme.client.get(f"/executions/{started.stdout.strip()}")).status_code == 200


async def test_after_signing_out_nothing_is_kept(terminal: Terminal, acme: Tenant, api_url: str) -> None:
    await terminal.run("login", "--api-key", "--url", api_url, typed=acme.api_key)

    first, second = await terminal.run("logout"), await terminal.run("logout")

    assert (first.stdout, second.stdout) == ("Signed out.\n", "Nobody was signed in.\n")
    assert list(terminal.config.iterdir()) == []


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("cp_key_" + "x" * 43, "unknown, expired or revoked"),
        ("", "No key was given"),
        ("\n", "No key was given"),
        ("two words", "That is no API key"),
        ("kéy", "That is no API key"),
    ],
)
async def test_a_key_that_does_not_count_is_not_kept(terminal: Terminal, api_url: str, typed: str, told: str) -> None:
    done = await terminal.run("login", "--api-key", "--url", api_url, typed=typed)

    assert done.returncode == 1
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert not terminal.config.exists()


async def test_a_key_is_not_taken_from_the_command_line(terminal: Terminal, acme: Tenant, api_url: str) -> None:
    done = await terminal.run("login", "--api-key", acme.api_key, "--url", api_url)

    assert done.returncode == 2
    assert not terminal.config.exists()


async def test_without_a_way_to_sign_in_the_command_says_which_there_is(terminal: Terminal) -> None:
    done = await terminal.run("login")

    assert done.returncode == 1
    assert "Use `control-plane login --api-key`" in done.stderr


@pytest.mark.parametrize("url", ["localhost:7777", "ftp://localhost", "http://", "http://[", "http://localhost:99999"])
async def test_an_address_that_is_none_is_told(terminal: Terminal, url: str) -> None:
    done = await terminal.run("login", "--api-key", "--url", url, typed="cp_key_1")

    assert done.returncode == 1
    assert "is no URL of a control plane" in done.stderr


async def test_a_key_over_an_open_network_is_warned_of(terminal: Terminal) -> None:
    done = await terminal.run("login", "--api-key", "--url", "http://nowhere.invalid", typed="cp_key_1")

    assert done.returncode == 1
    assert done.stderr.startswith("Warning: http://nowhere.invalid is not https")


async def test_a_token_from_the_command_line_signs_its_subject_in(
    terminal: Terminal, acme: Tenant, api_url: str
) -> None:
    variables = {"CONTROL_PLANE_LOCAL_ISSUER_KEYS": KEYS, "CONTROL_PLANE_PUBLIC_URL": PUBLIC_URL}
    member = {"name": "Ada", "issuer": PUBLIC_URL, "subject": "ada", "grants": [{"role": "viewer"}]}
    await created(acme.client, f"/organizations/{acme.organization['id']}/members", member)

    issued = await terminal.run("token", "--subject", "ada", "--lifetime", "5", variables=variables)

    async with client(api_url, issued.stdout.strip()) as ada:
        response = await ada.get("/agents")
    assert response.status_code == 200, issued.stderr


async def test_the_embedded_stack_lends_its_key_for_tokens(terminal: Terminal, tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    folder.keep("local_issuer_key", KEYS)
    folder.keep("api_url", "http://127.0.0.1:7777")

    issued = await terminal.run("token", "--subject", "ada", "--data", str(folder.path))

    assert issued.stdout.count(".") == 2, issued.stderr


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({}, "There is no key to sign with"),
        ({"CONTROL_PLANE_LOCAL_ISSUER_KEYS": KEYS}, "CONTROL_PLANE_PUBLIC_URL is not set"),
        ({"CONTROL_PLANE_LOCAL_ISSUER_KEYS": KEYS, "CONTROL_PLANE_PUBLIC_URL": "nowhere"}, "is no URL"),
        (
            {"CONTROL_PLANE_LOCAL_ISSUER_KEYS": "x", "CONTROL_PLANE_PUBLIC_URL": PUBLIC_URL},
            "must begin with a private key",
        ),
    ],
)
async def test_without_a_usable_key_no_token_is_issued(
    terminal: Terminal, tmp_path: Path, variables: dict[str, str], told: str
) -> None:
    done = await terminal.run("token", "--subject", "ada", "--data", str(tmp_path / "data"), variables=variables)

    assert done.returncode == 1
    assert told in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("lifetime", ["0", "1441", "-5"])
async def test_a_token_lives_a_day_at_most(terminal: Terminal, lifetime: str) -> None:
    done = await terminal.run("token", "--subject", "ada", "--lifetime", lifetime)

    assert done.returncode == 2


@pytest.mark.parametrize("subject", ["", "a" * 256, "zoë"])
async def test_no_token_is_issued_for_a_subject_that_the_server_would_refuse(terminal: Terminal, subject: str) -> None:
    done = await terminal.run("token", "--subject", subject)

    assert done.returncode == 1
    assert "--subject" in done.stderr
