"""Everybody asks every operation about everything: no organization can learn that another exists.

The operations are read from the application, so a new one is tested, or fails here until `addressed` says how to ask
it. Other people's ids and names are put into paths, bodies, filters, headers and cursors. Every answer about them must
equal the answer about nobody's, and hold nothing that was planted in them.
"""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from pydantic import SecretStr

from control_plane.auth.local_issuer import new_key
from control_plane.embedded.postgres import DATABASE, Postgres
from control_plane.settings import Settings
from tests.conftest import TestDatabase, _created
from tests.security.belongings import SEVERAL
from tests.security.matrix import ask_about_others, ask_with_dead, ask_without_right
from tests.security.operations import GATEWAY, MCP, RUN_HISTORY, gateway_operations, named_permissions, operations
from tests.security.own_things import do_everything, read_everything, say_the_same
from tests.security.world import World, opened
from tests.tenants import ENCRYPTION_KEY, OPERATOR_KEY

pytestmark = pytest.mark.integration

ABOUT_OTHERS = {
    "an owner's key": 1_000,
    "an owner's sign-in token": 600,
    "the admin of another project": 700,
    "a worker key": 10,
    "a used join token": 10,
    "a worker session": 10,
    "an execution token": 60,
}
"""Whoever has some rights, and how often they try at least to use these on what isn't theirs."""

WITHOUT_RIGHT = {
    "an owner's key": 40,
    "an owner's sign-in token": 40,
    "the admin of another project": 300,
    "a worker key": 800,
    "a used join token": 800,
    "a worker session": 800,
    "an execution token": 800,
    "the operator": 600,
    "a member of another organization than named": 650,
    "a member who names no organization there is": 650,
    "somebody who is no member": 650,
}
"""Everybody, and how often they try at least what they have no right to."""

WITH_DEAD = {
    "no credential": 650,
    "a key that nobody issued": 650,
    "a revoked key": 650,
    "an expired key": 650,
    "the key of a disabled service account": 650,
    "an expired sign-in token": 650,
    "an expired execution token": 650,
    "a revoked worker session": 650,
    "an expired worker session": 650,
    "the session of a revoked worker key": 650,
    "the execution token of a revoked worker": 650,
    "a revoked join token": 650,
    "an expired join token": 650,
}
"""Credentials that don't count, and how often they are tried at least."""


ONE_OF_A_KIND = {
    "organization_id", "organization_slug", "actor", "other_policy", "other_agent_id", "parent_id", "version", "model"
}  # fmt: skip
"""Of everything else a tenant has several."""


def with_issuer(settings: Settings) -> Settings:
    # Nobody renews the lease of the execution whose token is tried, and a busy machine takes its time.
    return settings.model_copy(update={"local_issuer_keys": SecretStr(new_key()), "lease": timedelta(hours=1)})


@pytest.fixture(scope="module")
async def world(postgres: Postgres, _litellm: None) -> AsyncIterator[World]:
    """Two organizations that all attempts of this module leave as they are."""
    with _created(postgres, template=DATABASE) as database:
        settings = Settings(
            database_url=database.url,
            secret_key="a-secret-key-of-the-tests-0123456789",
            operator_key=OPERATOR_KEY,
            encryption_keys=ENCRYPTION_KEY,
            rate_limit=0,
        )
        async with opened(database, with_issuer(settings)) as world:
            yield world


@pytest.fixture
async def fresh(test_database: TestDatabase, settings: Settings) -> AsyncIterator[World]:
    """The same, for one test that changes what is its own."""
    async with opened(test_database, with_issuer(settings)) as world:
        yield world


def test_every_operation_that_needs_a_permission_is_tried() -> None:
    tried = {f"{one.method} {one.prefix}{one.path}" for one in operations()}
    needing = {route for route, named in named_permissions().items() if named}

    elsewhere = {one for one in needing if one.split()[1].startswith((GATEWAY, MCP))}
    assert {route for route in needing - tried - elsewhere if not route.split()[1].startswith(RUN_HISTORY)} == set()
    assert len(gateway_operations()) == len({one for one in elsewhere if not one.startswith("ANY")})


def test_how_to_ask_is_known_of_every_operation() -> None:
    assert [sentence for operation in operations() for sentence in operation.missing] == []


def test_a_tenant_has_everything_that_can_be_asked_about(world: World) -> None:
    made = world.parties.globex.values

    assert [sentence for operation in operations() for sentence in operation.unmade(made)] == []
    assert {name for name, values in made.items() if len(values) < SEVERAL} == ONE_OF_A_KIND


def test_there_are_ten_thousand_attempts() -> None:
    assert sum([*ABOUT_OTHERS.values(), *WITHOUT_RIGHT.values(), *WITH_DEAD.values()]) >= 10_000


def test_everybody_has_a_turn(world: World) -> None:
    assert world.holders.keys() == WITHOUT_RIGHT.keys()
    assert {who for who, holder in world.holders.items() if holder.foreign} == ABOUT_OTHERS.keys()
    assert world.dead.keys() == WITH_DEAD.keys()


@pytest.mark.parametrize(("who", "least"), ABOUT_OTHERS.items())
async def test_what_is_somebody_elses_does_not_exist(world: World, who: str, least: int) -> None:
    judged = await ask_about_others(world, world.holders[who])

    assert judged.findings == []
    assert judged.attempts >= least
    assert await world.changes() == set()


@pytest.mark.parametrize(("who", "least"), WITHOUT_RIGHT.items())
async def test_what_one_may_not_do_is_refused_alike_whatever_it_is_about(world: World, who: str, least: int) -> None:
    judged = await ask_without_right(world, world.holders[who])

    assert judged.findings == []
    assert judged.attempts >= least
    assert await world.changes() == set()


@pytest.mark.parametrize(("what", "least"), WITH_DEAD.items())
async def test_a_credential_that_does_not_count_opens_nothing(world: World, what: str, least: int) -> None:
    judged = await ask_with_dead(world, world.dead[what])

    assert judged.findings == []
    assert judged.attempts >= least
    assert await world.changes() == set()


async def test_naming_an_organization_tells_nobody_whether_it_exists(world: World) -> None:
    existing = world.holders["a member of another organization than named"].headers
    unknown = world.holders["a member who names no organization there is"].headers

    answers = [
        await world.http.get("/api/v1/agents", headers={**one, "X-Request-Id": "x"}) for one in (existing, unknown)
    ]

    assert answers[0].status_code == 403
    assert answers[0].text == answers[1].text


@pytest.mark.parametrize("who", ABOUT_OTHERS)
async def test_reading_what_is_ones_own_shows_nothing_of_others(world: World, who: str) -> None:
    judged = await read_everything(world, world.holders[who])

    assert judged.findings == []
    assert judged.attempts > 0
    assert await world.changes() == set()


async def test_everything_can_be_done_with_what_is_ones_own(fresh: World) -> None:
    judged = await do_everything(fresh)

    assert judged.findings == []
    assert judged.attempts > len(operations())
    assert await fresh.changes_of_globex() == set()


async def test_the_names_and_idempotency_keys_of_another_organization_are_free(fresh: World) -> None:
    judged = await say_the_same(fresh)

    assert judged.findings == []
    assert judged.attempts == len(fresh.parties.globex.said)
    assert await fresh.changes_of_globex() == set()
