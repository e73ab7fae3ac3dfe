"""Secrets: values that tools get and people never see again."""

from uuid import UUID

from pydantic import SecretStr
from sqlalchemy import or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.audit import service as audit
from control_plane.audit.service import Origin
from control_plane.environments import service as environments
from control_plane.pagination import Page
from control_plane.problems import AlreadyExists, Invalid, NotFound, Unavailable
from control_plane.secrets.encryption import Keyring, Place, Sealed, Tampered, UnknownKey
from control_plane.secrets.models import Secret, SecretValue
from control_plane.secrets.schemas import SecretCreate, SecretReplace

RELEASED = "secrets:release"
"""How the audit log calls it when a value leaves the database."""


class EncryptionNotConfigured(Unavailable):
    """The server has no encryption key, so it can't store secrets. Whoever runs it sets one."""

    code, title = "encryption_not_configured", "This server can't store secrets"


class SecretUnreadable(Unavailable):
    """The stored value can't be decrypted: its encryption key is missing, or it was changed behind our back."""

    code, title = "secret_unreadable", "The secret can't be decrypted"


async def create(session: AsyncSession, organization_id: UUID, body: SecretCreate, *, keyring: Keyring) -> Secret:
    """A new secret, version 1. Raises `AlreadyExists`, or `Invalid` if there is no such environment."""
    if body.environment_id is not None:
        try:
            await environments.get(session, body.environment_id)
        except NotFound as error:
            raise Invalid(error.detail, location="body.environment_id") from error
    secret = Secret(organization_id=organization_id, name=body.name, environment_id=body.environment_id, version=1)
    session.add(secret)
    try:
        await session.flush()
    except IntegrityError as error:
        raise AlreadyExists(
            f"There is a secret {body.name} already. Replace its value with PUT /api/v1/secrets/{body.name}."
        ) from error
    sealed = keyring.seal(_plain(body.value), place(secret))
    session.add(SecretValue(organization_id=organization_id, secret_id=secret.id, **_columns(sealed)))
    await session.flush()
    return secret


async def get(session: AsyncSession, name: str, *, lock: bool = False) -> Secret:
    """One secret, without its value. `lock` keeps others from changing it. Raises `NotFound`."""
    statement = select(Secret).where(Secret.name == name)
    secret = await session.scalar(statement.with_for_update() if lock else statement)
    if secret is None:
        raise NotFound.of("secret", name)
    return secret


async def listed(session: AsyncSession, page: Page, *, environment_id: UUID | None) -> list[Secret]:
    """A page of secrets, without their values."""
    statement = select(Secret)
    if environment_id is not None:
        statement = statement.where(Secret.environment_id == environment_id)
    return await page.fetch(session, statement, Secret)


async def replace(session: AsyncSession, secret: Secret, body: SecretReplace, *, keyring: Keyring) -> None:
    """Give a locked secret its next version. The value before is gone."""
    secret.version += 1
    stored = await _stored(session, secret, lock=True)
    for name, part in _columns(keyring.seal(_plain(body.value), place(secret))).items():
        setattr(stored, name, part)
    await session.flush()


async def delete(session: AsyncSession, secret: Secret) -> None:
    """Remove a secret and its value."""
    await session.delete(secret)
    await session.flush()


async def release(
    session: AsyncSession, name: str, *, environment_id: UUID | None, keyring: Keyring, origin: Origin
) -> SecretStr:
    """The value, for an execution in an environment. The audit log says who received it, in the same transaction.

    Without an environment it is for what serves the whole organization. Raises `NotFound`, also for a secret of another
    environment, and `SecretUnreadable`.
    """
    statement = select(Secret).where(
        Secret.name == name, or_(Secret.environment_id.is_(None), Secret.environment_id == environment_id)
    )
    # Locked against a replacement between reading the version and reading the value that belongs to it.
    secret = await session.scalar(statement.with_for_update(read=True))
    if secret is None:
        raise NotFound.of("secret", name)
    stored = await _stored(session, secret)
    try:
        value = keyring.open(sealed(stored), place(secret))
    except UnknownKey as error:
        raise SecretUnreadable(
            f"The secret {name} is encrypted with the key {error.key_id}, which isn't in CONTROL_PLANE_ENCRYPTION_KEYS."
            " Add that key to its end and restart the server."
        ) from error
    except Tampered as error:
        raise SecretUnreadable(
            f"What is stored for the secret {name} was changed outside of the control plane. Find out by whom, then"
            f" set it anew with PUT /api/v1/secrets/{name}."
        ) from error
    await audit.record(session, origin, action=RELEASED, resource_type="secrets", resource_id=name, status=200)
    return SecretStr(value.decode())


def place(secret: Secret) -> Place:
    """Where the present value of a secret belongs."""
    return Place(secret.organization_id, secret.name, secret.version)


def sealed(stored: SecretValue) -> Sealed:
    """A stored value as the keyring takes it."""
    return Sealed(key_id=stored.key_id, wrapped_key=stored.wrapped_key, ciphertext=stored.ciphertext)


async def _stored(session: AsyncSession, secret: Secret, *, lock: bool = False) -> SecretValue:
    statement = select(SecretValue).where(SecretValue.secret_id == secret.id)
    found = await session.scalars(statement.with_for_update() if lock else statement)
    return found.one()


def _columns(sealed: Sealed) -> dict[str, str | bytes]:
    return {"key_id": sealed.key_id, "wrapped_key": sealed.wrapped_key, "ciphertext": sealed.ciphertext}


def _plain(value: SecretStr) -> bytes:
    return value.get_secret_value().encode()
