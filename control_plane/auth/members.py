"""Whom a verified identity stands for: the members of organizations, as sign-in asks for them."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from control_plane.auth.oidc import Identity
from control_plane.auth.oidc_sign_in import Membership
from control_plane.auth.principals import Grant, Kind, Principal
from control_plane.db import Database

_RECOGNISE = text("SELECT * FROM recognise_member(:issuer, :subject, :email)")
_ACCEPT = text(
    "UPDATE members SET issuer = :issuer, subject = :subject, updated_at = clock_timestamp()"
    " WHERE id = :id AND subject IS NULL"
)


class MemberDirectory:
    """The `Directory` of the members table. A verified e-mail address accepts what was sent to it, once and for all."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def memberships(self, identity: Identity) -> Sequence[Membership]:
        """The organizations of a person, none if nobody invited them.

        `identity.email` must be None unless its provider says that it is verified: an invitation to it then belongs to
        this issuer and subject, whoever has the address later.
        """
        parameters = {"issuer": identity.issuer, "subject": identity.subject, "email": identity.email}
        async with self._database.tenant(None) as session:
            found = (await session.execute(_RECOGNISE, parameters)).all()
        known = {row.organization_id for row in found if not row.invited}
        for row in found:
            if row.invited and row.organization_id not in known:
                await self._accept(row.organization_id, {**parameters, "id": row.id})
        if any(row.invited for row in found):
            async with self._database.tenant(None) as session:
                found = (await session.execute(_RECOGNISE, parameters)).all()
        return [
            Membership(
                organization_id=row.organization_id,
                slug=row.slug,
                principal=Principal(
                    kind=Kind.MEMBER,
                    name=row.name,
                    organization_id=row.organization_id,
                    member_id=row.id,
                    grants=tuple(Grant.of(stored) for stored in row.grants),
                ),
            )
            for row in found
            if not row.invited
        ]

    async def _accept(self, organization_id: UUID, parameters: dict[str, object]) -> None:
        try:
            async with self._database.tenant(organization_id) as session:
                await session.execute(_ACCEPT, parameters)
        except IntegrityError:
            return  # the same person has accepted another invitation at this very moment
