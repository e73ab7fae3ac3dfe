from uuid import uuid4

import pytest

from control_plane.auth.permissions import IN_PROJECTS, MEMBER, OPERATOR, Permission
from control_plane.auth.principals import Grant, Kind, Principal
from control_plane.auth.roles import BUILT_IN
from control_plane.problems import Forbidden

pytestmark = pytest.mark.unit

SHOP, BANK = uuid4(), uuid4()


def holder(*grants: Grant) -> Principal:
    return Principal(kind=Kind.MEMBER, name="Ada", organization_id=uuid4(), grants=grants)


def granted(role: str, project_id: object = None) -> Grant:
    return Grant.of({"role": role, "permissions": None, "project_id": str(project_id) if project_id else None})


def test_a_role_in_the_whole_organization_reaches_every_project() -> None:
    principal = holder(granted("viewer"))

    assert principal.projects_with(Permission.EXECUTIONS_READ) is None


def test_a_role_in_projects_reaches_those_alone() -> None:
    principal = holder(granted("viewer", SHOP), granted("developer", BANK))

    assert principal.projects_with(Permission.EXECUTIONS_READ) == {SHOP, BANK}
    assert principal.projects_with(Permission.EXECUTIONS_START) == {BANK}


def test_a_wider_role_wins_over_a_narrow_one() -> None:
    principal = holder(granted("viewer", SHOP), granted("viewer"))

    assert principal.projects_with(Permission.EXECUTIONS_READ) is None


@pytest.mark.parametrize("grants", [(), (granted("viewer"),), (granted("viewer", SHOP),)])
def test_who_has_a_permission_nowhere_is_told_so(grants: tuple[Grant, ...]) -> None:
    with pytest.raises(Forbidden, match="executions:start"):
        holder(*grants).projects_with(Permission.EXECUTIONS_START)


@pytest.mark.parametrize("permission", sorted(MEMBER - IN_PROJECTS))
def test_what_concerns_the_whole_organization_is_never_given_by_a_role_in_a_project(permission: Permission) -> None:
    with pytest.raises(Forbidden):
        holder(granted("owner", SHOP)).projects_with(permission)


@pytest.mark.parametrize("subject", ["api_keys", "audit", "members", "roles", "service_accounts"])
def test_who_may_do_what_is_decided_for_the_whole_organization(subject: str) -> None:
    assert [permission for permission in IN_PROJECTS if permission.startswith(f"{subject}:")] == []


def test_policies_are_written_and_bound_for_the_whole_organization() -> None:
    assert not {Permission.POLICIES_WRITE, Permission.POLICY_BINDINGS_WRITE} & IN_PROJECTS


def test_a_custom_role_gives_what_it_holds_and_nothing_that_is_no_permission_any_more() -> None:
    grant = Grant.of({"role": "own", "permissions": ["agents:read", "magic:do"], "project_id": None})

    assert grant.permissions == {Permission.AGENTS_READ}


@pytest.mark.parametrize("permission", ["executions:claim", "execution:report", "models:call", "organizations:create"])
def test_a_custom_role_never_gives_what_machines_and_the_operator_may(permission: str) -> None:
    grant = Grant.of({"role": "own", "permissions": [permission], "project_id": None})

    assert grant.permissions == set()


def test_only_an_owner_of_the_whole_organization_is_an_owner() -> None:
    assert holder(granted("owner")).owner
    assert not holder(granted("owner", SHOP)).owner
    assert not holder(granted("admin")).owner


def test_the_operator_has_what_it_has_and_no_role() -> None:
    operator = Principal(kind=Kind.OPERATOR, name="operator")

    assert operator.permissions == OPERATOR
    with pytest.raises(Forbidden, match="kind operator"):
        operator.projects_with(Permission.AGENTS_READ)


def test_each_role_can_do_no_more_than_the_one_it_is_part_of() -> None:
    held = {name: role.permissions for name, role in BUILT_IN.items()}

    assert held["viewer"] < held["developer"] < held["admin"] <= held["owner"] == MEMBER
    assert held["viewer"] < held["operator"] < held["admin"]
    assert held["viewer"] < held["auditor"] < held["admin"]


def test_an_auditor_reads_everything_and_changes_nothing() -> None:
    reading = {permission for permission in MEMBER if permission.endswith(":read")}

    assert BUILT_IN["auditor"].permissions == reading
