"""Every route names its permission."""

import pytest

from control_plane.auth.permissions import (
    EXECUTION,
    MEMBER,
    OPERATOR,
    WORKER_KEY,
    WORKER_SESSION,
    Permission,
)
from tests.security.operations import named_permissions

pytestmark = pytest.mark.unit

PUBLIC = {
    "/openapi.json",
    "/api/docs",
    "/api/docs/files",
    "/api/redoc",
    "/health",
    "/ready",
    "/.well-known/openid-configuration",
    "/auth/jwks.json",
    "/auth/sign-in",
    "/auth/callback",
    "/auth/sign-out",
}
"""What anybody may ask. Whoever adds a route here has thought about it."""


def test_every_route_that_is_not_public_names_exactly_one_permission() -> None:
    counted = {route: len(named) for route, named in named_permissions().items() if route.split()[1] not in PUBLIC}

    assert len(counted) > 20
    assert counted == dict.fromkeys(counted, 1)


def test_no_route_that_is_public_needs_a_permission() -> None:
    public = {route: named for route, named in named_permissions().items() if route.split()[1] in PUBLIC}

    assert {route.split()[1] for route in public} == PUBLIC
    assert set(map(frozenset, public.values())) == {frozenset()}


def test_every_permission_is_asked_for_by_a_route() -> None:
    assert set().union(*named_permissions().values()) == set(Permission)


def test_reading_and_writing_routes_ask_for_permissions_of_that_kind() -> None:
    reading = {named for route, found in named_permissions().items() for named in found if route.startswith("GET")}

    assert {named for named in reading if named.endswith((":write", ":create", ":start", ":cancel"))} == set()


def test_the_operator_may_not_read_or_write_what_belongs_to_tenants() -> None:
    assert {
        Permission.ORGANIZATIONS_CREATE,
        Permission.ORGANIZATIONS_READ,
        Permission.ORGANIZATIONS_DELETE,
        Permission.ORGANIZATIONS_BOOTSTRAP,
        Permission.BUDGETS_IMPOSE,
    } == OPERATOR


def test_a_worker_key_may_join_and_nothing_else() -> None:
    assert {Permission.WORKERS_JOIN} == WORKER_KEY


def test_a_worker_may_claim_and_report_and_use_prefect_and_nothing_else() -> None:
    assert {Permission.EXECUTIONS_CLAIM, Permission.WORKER_REPORT, Permission.PREFECT_USE} == WORKER_SESSION


def test_an_execution_token_may_report_and_call_models_and_use_prefect_and_nothing_else() -> None:
    assert {Permission.EXECUTION_REPORT, Permission.MODELS_CALL, Permission.PREFECT_USE} == EXECUTION


def test_an_api_key_may_neither_act_as_a_worker_nor_make_organizations() -> None:
    of_operator = {Permission.ORGANIZATIONS_CREATE, Permission.ORGANIZATIONS_BOOTSTRAP, Permission.BUDGETS_IMPOSE}
    assert MEMBER & (WORKER_SESSION | EXECUTION | of_operator) == set()
