"""`control-plane rotate-encryption-key`: all secrets under the first of the encryption keys."""

import asyncio

import typer
from pydantic import ValidationError

from control_plane import settings as configuration
from control_plane.cli.failures import Failure
from control_plane.db import Database
from control_plane.secrets.encryption import Keyring
from control_plane.secrets.rotation import RotationIncomplete, rotate


def rotate_encryption_key() -> None:
    """Wrap every data key under the first encryption key. Raises `Failure` if that isn't possible for all."""
    try:
        settings = configuration.Settings()
    except ValidationError as error:
        raise Failure(f"The settings of the API server are needed here too. {error}") from None
    keyring = Keyring.of(settings.encryption_keys)
    if keyring is None:
        raise Failure(
            "CONTROL_PLANE_ENCRYPTION_KEYS is not set. Set it as the API server has it: the new key first, the old ones"
            " behind it."
        )
    try:
        done = asyncio.run(_rotate(settings.database_url.get_secret_value(), keyring))
    except RotationIncomplete as error:
        raise Failure(str(error)) from error
    typer.echo(f"{done} data keys wrapped anew. All secrets are under the key {keyring.newest}.")


async def _rotate(url: str, keyring: Keyring) -> int:
    database = Database(url, pool_size=1)
    try:
        return await rotate(database, keyring, progress=lambda done: typer.echo(f"{done} so far", err=True))
    finally:
        await database.close()
