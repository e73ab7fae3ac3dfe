"""Where tests run programs: in the sandbox where this machine has one, and without."""

import pytest

from toolsets.builtin import sandbox

PLACES = ["off", *(["required"] if sandbox.available() else [])]

in_each_place = pytest.mark.parametrize("place", PLACES)
