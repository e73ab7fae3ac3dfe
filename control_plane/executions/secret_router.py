"""`/worker/executions/{execution_id}/secrets`: how a tool gets a secret while it runs."""

from fastapi import APIRouter, Request

from control_plane.audit.requests import origin
from control_plane.auth.dependencies import Db, MayReportExecution
from control_plane.executions import secret_release
from control_plane.executions.claims import LeaseLost
from control_plane.executions.secret_release import SecretUnavailable
from control_plane.problems import Invalid, NotFound, problems
from control_plane.wire.secrets import ReleasedSecret, SecretRequest

router = APIRouter(prefix="/worker/executions/{execution_id}/secrets", tags=["worker protocol"])


@router.post("", responses=problems(NotFound, LeaseLost, SecretUnavailable, Invalid))
async def release_secret(
    body: SecretRequest, request: Request, holder: MayReportExecution, session: Db
) -> ReleasedSecret:
    """Release a secret to a tool of this execution, by the name that its toolset uses. Each time is audited."""
    return await secret_release.release(
        session, holder, body, keyring=request.app.state.keyring, origin=origin(request, request.state.principal)
    )
