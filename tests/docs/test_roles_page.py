"""docs/roles.md shows the built-in roles as they are."""

import re

import pytest

from control_plane.auth.permissions import IN_PROJECTS, MEMBER
from control_plane.auth.roles import BUILT_IN
from tests.docs.pages import text

pytestmark = pytest.mark.unit

ROWS = re.findall(r"^\| `([a-z_]+:[a-z]+)` \|(.+)\|$", text("docs/roles.md"), re.MULTILINE)
SHOWN = {permission: [cell.strip() == "x" for cell in cells.split("|")] for permission, cells in ROWS}


def test_the_page_has_a_row_for_every_permission_that_a_role_can_hold() -> None:
    assert sorted(SHOWN) == sorted(MEMBER)


def test_the_page_shows_who_has_what() -> None:
    columns = [*(role.permissions for role in BUILT_IN.values()), IN_PROJECTS]

    assert {permission: [permission in held for held in columns] for permission in MEMBER} == SHOWN
