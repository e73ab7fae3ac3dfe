"""How far a person sees into Prefect: the work pools of the environments whose runs they may read."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import select

from control_plane.auth.permissions import Permission
from control_plane.auth.principals import Principal
from control_plane.db import Database
from control_plane.environments.models import Environment
from control_plane.prefect_gateway.remembered import Remembered

_MOST = 2_000
_LIFETIME = timedelta(seconds=2)
"""How long somebody may still see an environment that was taken from them: as long as a credential is remembered."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What a person may see. Everything in it comes from the credential and the database, nothing from the request."""

    work_pools: frozenset[str]


class Scopes:
    """Finds scopes, and remembers them for a moment: a page asks for a dozen things at once."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: Remembered[tuple[UUID, frozenset[UUID] | None], Scope] = Remembered(_MOST, lifetime=_LIFETIME)

    async def of(self, principal: Principal) -> Scope:
        """The scope of a person. Raises `Forbidden` for whoever may read no runs at all."""
        projects = principal.projects_with(Permission.RUNS_READ)
        key = (principal.tenant, projects)
        scope = self._known.get(key)
        if scope is None:
            async with self._database.tenant(principal.tenant, projects=projects) as session:
                scope = Scope(frozenset(await session.scalars(select(Environment.work_pool))))
            self._known.put(key, scope)
        return scope
