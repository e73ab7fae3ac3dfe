"""`control-plane export`: all data of an organization in one file."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import typer
from sqlalchemy import text

from control_plane.api import metadata
from control_plane.cli.failures import Failure
from control_plane.cli.places import control_plane
from control_plane.db import Database
from control_plane.embedded.own_database import OwnDatabase
from control_plane.organizations.export import exported
from control_plane.rest import Rest


def export(output: Path, *, organization: str | None, data: Path | None) -> None:
    """Write the file: over the API with its key, or, if an organization is named, from the database itself.

    The file appears once it is complete, readable by its owner only.
    """
    partial = output.with_name(f"{output.name}.partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            rows = asyncio.run(_stored(file, organization)) if organization else _downloaded(file, data)
        partial.replace(output)
    finally:
        partial.unlink(missing_ok=True)
    typer.echo(f"{rows} rows are in {output}.")


def _downloaded(file: Any, data: Path | None) -> int:
    place = control_plane(data)
    rows = 0
    with Rest(place.url, place.api_key) as rest:
        for piece in _pieces(rest):
            rows += piece.count(b"\n")
            file.write(piece)
    return rows


def _pieces(rest: Rest) -> Iterator[bytes]:
    found: list[dict[str, Any]] = rest.get("/organizations")
    return rest.download(f"/organizations/{found[0]['id']}/export")


async def _stored(file: Any, slug: str) -> int:
    own = OwnDatabase.named()
    if own is None:
        raise Failure("To export an organization by its slug, set DATABASE_URL to the database of the API server.")
    database = Database(own.url, pool_size=1)
    rows = 0
    try:
        async for line in _lines(database, slug):
            file.write(line.encode())
            rows += 1
    finally:
        await database.close()
    return rows


async def _lines(database: Database, slug: str) -> AsyncIterator[str]:
    async with database.tenant(None) as session:
        named = text("SELECT id FROM all_organizations() WHERE slug = :slug")
        organization_id: UUID | None = await session.scalar(named, {"slug": slug})
    if organization_id is None:
        raise Failure(f"There is no organization with the slug {slug!r}.")
    async for line in exported(database, organization_id, metadata.sorted_tables):
        yield line
