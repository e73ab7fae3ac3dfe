"""Loading LiteLLM: in the background, once, and without a word to the network."""

import asyncio
import os
import subprocess
import sys
import threading

import pytest

from control_plane.llm import loading

pytestmark = pytest.mark.integration

_WATCHED = """
import socket
import sys

asked = []

def watch(event, arguments):
    if event in {"socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"}:
        asked.append(f"{event} {arguments[1:]}")
        raise OSError("this process has no network")

sys.addaudithook(watch)

from control_plane.llm import loading

assert "litellm" not in sys.modules, "LiteLLM is imported before it is needed"
loading.warm_up()
loading.loaded()
import litellm
from litellm.anthropic_beta_headers_manager import get_beta_headers_config

get_beta_headers_config("http://127.0.0.1:9")

print("loaded", litellm.telemetry, litellm.custom_provider_map[0]["provider"], asked)
"""


async def test_loading_asks_nothing_of_the_network_and_waits_until_it_is_told_to() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LITELLM_")}

    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", _WATCHED], env=environment, capture_output=True, text=True, check=False
    )

    assert (done.stdout.splitlines()[-1:], done.returncode) == (["loaded False scripted []"], 0), done.stderr


def test_warming_up_does_not_keep_the_caller_waiting_and_loads_only_once(monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = threading.Event()
    loads: list[str] = []

    def load() -> None:
        go_on.wait(10)
        loads.append("loaded")

    monkeypatch.setattr(loading, "loaded", load)

    loading.warm_up()
    background = next(thread for thread in threading.enumerate() if thread.name == "litellm warm-up")

    assert loads == []
    assert background.daemon
    go_on.set()
    background.join(10)
    assert loads == ["loaded"]


def test_litellm_is_loaded_once() -> None:
    first, second = loading.loaded(), loading.loaded()

    assert first is second
