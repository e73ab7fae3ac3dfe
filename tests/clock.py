"""Letting time pass without waiting for it."""

import time
from types import SimpleNamespace

import pytest

from control_plane.auth import credentials


def five_seconds_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set forward the clock by which the server remembers credentials."""
    monkeypatch.setattr(credentials, "time", SimpleNamespace(monotonic=lambda: time.monotonic() + 5))
