"""Giving the value of a secret to a tool that runs."""

from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.audit.service import Origin
from control_plane.auth.principals import ExecutionPrincipal
from control_plane.executions import claims
from control_plane.problems import Conflict, Invalid, NotFound
from control_plane.secrets import service as secrets
from control_plane.secrets.encryption import Keyring
from control_plane.secrets.service import SecretUnreadable
from control_plane.wire.secrets import ReleasedSecret, SecretRequest


class SecretUnavailable(Conflict):
    """The secret is there but can't be decrypted. Asking again doesn't help; whoever runs the server has to act."""

    code, title = "secret_unavailable", "The secret can't be decrypted"


async def release(
    session: AsyncSession, holder: ExecutionPrincipal, asked: SecretRequest, *, keyring: Keyring | None, origin: Origin
) -> ReleasedSecret:
    """The value of a secret that the plan has for one of its toolsets; the audit log tells who got it.

    The plan was frozen by this server when the execution was created: whoever holds the token can't add to it, and
    can't tell which other secrets there are. Raises `Invalid`, `LeaseLost` and `SecretUnavailable`.
    """
    execution = await claims.held(session, holder, fence=asked.fence)
    plan = await claims.stored_plan(session, execution.id)
    given = {toolset.name: toolset.secrets for toolset in plan.toolsets}
    name = given.get(asked.toolset, {}).get(asked.name)
    missing = Invalid(
        f"This execution has no secret {asked.name} for the toolset {asked.toolset}.", location="body.name"
    )
    if name is None:
        raise missing
    if keyring is None:
        raise SecretUnavailable("CONTROL_PLANE_ENCRYPTION_KEYS is not set on this server.")
    try:
        value = await secrets.release(
            session, name, environment_id=execution.environment_id, keyring=keyring, origin=origin
        )
    except NotFound as error:
        raise missing from error
    except SecretUnreadable as error:
        raise SecretUnavailable(error.detail) from error
    return ReleasedSecret(value=value.get_secret_value())
