"""A PostgreSQL of one's own, as the environment names it."""

import os
from dataclasses import dataclass, field
from typing import Self

from sqlalchemy.engine import make_url

import migrations
from control_plane.db import sqlalchemy_url
from control_plane.embedded.processes import ProcessFailed


@dataclass(frozen=True, slots=True)
class OwnDatabase:
    """`url` is what the API server uses, `owner_url` what may change the schema. Both carry passwords."""

    url: str = field(repr=False)
    owner_url: str = field(repr=False)

    @classmethod
    def named(cls) -> Self | None:
        """The database that the environment names, under the names that the API server reads too; None without one.

        Raises `ProcessFailed` if it is no PostgreSQL.
        """
        url = os.environ.get("CONTROL_PLANE_DATABASE_URL") or os.environ.get("DATABASE_URL")
        if not url:
            return None
        owner_url = os.environ.get("CONTROL_PLANE_MIGRATION_DATABASE_URL") or url
        for given in (url, owner_url):
            try:
                sqlalchemy_url(given)
            except ValueError as error:
                raise ProcessFailed(f"The database can't be used: {error}") from error
        return cls(url, owner_url)

    def migrate(self) -> None:
        """Bring the schema up to date, and let the login of `url` use the tables."""
        login = make_url(self.url).username if self.owner_url != self.url else None
        migrations.upgrade(self.owner_url, grant_to=login)
