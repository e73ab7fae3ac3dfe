"""`/secrets`."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response

from control_plane.auth.dependencies import Db, MayReadSecrets, MayWriteSecrets
from control_plane.contract import Text
from control_plane.etags import CONDITIONAL, CREATED, TAGGED, Conditional, IfMatch, PreconditionFailed, tagged
from control_plane.pagination import Paged
from control_plane.problems import AlreadyExists, Invalid, NotFound, problems
from control_plane.secrets import service as secrets
from control_plane.secrets.encryption import Keyring
from control_plane.secrets.schemas import SecretCreate, SecretRead, SecretReplace
from control_plane.secrets.service import EncryptionNotConfigured
from control_plane.transactions import TenantRoute

router = APIRouter(prefix="/secrets", tags=["secrets"], route_class=TenantRoute)


async def _keyring(request: Request) -> Keyring:
    keyring: Keyring | None = request.app.state.keyring
    if keyring is None:
        raise EncryptionNotConfigured(
            "CONTROL_PLANE_ENCRYPTION_KEYS is not set. Whoever runs this server makes a key with"
            " `openssl rand -base64 32`, sets it and restarts the server."
        )
    return keyring


Encrypting = Annotated[Keyring, Depends(_keyring)]


@router.post("", status_code=201, responses=problems(AlreadyExists, Invalid, EncryptionNotConfigured) | CREATED)
async def create_secret(
    body: SecretCreate, principal: MayWriteSecrets, session: Db, keyring: Encrypting, response: Response
) -> SecretRead:
    """Store a secret. Its value is encrypted and never shown again."""
    secret = await secrets.create(session, principal.tenant, body, keyring=keyring)
    response.headers["Location"] = f"/api/v1/secrets/{secret.name}"
    return tagged(response, SecretRead.of(secret))


@router.get("")
async def list_secrets(
    _: MayReadSecrets,
    session: Db,
    page: Paged,
    environment_id: Annotated[UUID | None, Query(description="Only those for this environment alone.")] = None,
) -> list[SecretRead]:
    """Secrets without their values, newest first."""
    return [SecretRead.of(found) for found in await secrets.listed(session, page, environment_id=environment_id)]


@router.get("/{name}", responses=problems(NotFound) | CONDITIONAL)
async def get_secret(name: Text, _: MayReadSecrets, session: Db, conditional: Conditional) -> SecretRead:
    """One secret without its value."""
    return conditional.answer(SecretRead.of(await secrets.get(session, name)))


@router.put("/{name}", responses=problems(NotFound, PreconditionFailed, EncryptionNotConfigured) | TAGGED)
async def replace_secret(
    name: Text,
    body: SecretReplace,
    _: MayWriteSecrets,
    session: Db,
    keyring: Encrypting,
    if_match: IfMatch,
    response: Response,
) -> SecretRead:
    """Replace the value. Executions that start from now on get the new one; the one before is gone."""
    secret = await secrets.get(session, name, lock=True)
    if_match.check(secret)
    await secrets.replace(session, secret, body, keyring=keyring)
    return tagged(response, SecretRead.of(secret))


@router.delete("/{name}", status_code=204, responses=problems(NotFound, PreconditionFailed))
async def delete_secret(name: Text, _: MayWriteSecrets, session: Db, if_match: IfMatch) -> None:
    """Remove a secret and its value."""
    secret = await secrets.get(session, name, lock=True)
    if_match.check(secret)
    await secrets.delete(session, secret)
