"""`/worker/executions/{execution_id}/artifacts`: how a process hands over what its execution leaves behind."""

from typing import Annotated

from fastapi import APIRouter, Query, Request

from control_plane.artifacts import service as artifacts
from control_plane.artifacts.service import ArtifactsFull
from control_plane.auth.dependencies import Db, MayReportExecution
from control_plane.contract import Text
from control_plane.executions.claims import LeaseLost
from control_plane.problems import BodyTooLarge, NotFound, problems
from control_plane.wire.artifacts import KeptArtifact

router = APIRouter(prefix="/worker/executions/{execution_id}/artifacts", tags=["worker protocol"])

_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.post("", responses=problems(NotFound, LeaseLost, ArtifactsFull, BodyTooLarge), openapi_extra=_BODY)
async def keep_artifact(
    request: Request,
    holder: MayReportExecution,
    session: Db,
    fence: int,
    key: Annotated[Text, Query(min_length=1, max_length=100)],
    name: Annotated[Text, Query(min_length=1, max_length=200)],
    media_type: Annotated[Text, Query(pattern=r"^[a-z]+/[a-z0-9.+-]+$", max_length=100)],
) -> KeptArtifact:
    """Keep a file. Sent again under its key, it changes nothing."""
    artifact_id = await artifacts.keep(
        session,
        holder,
        key=key,
        name=name,
        media_type=media_type,
        content=await request.body(),
        fence=fence,
        largest=request.app.state.settings.max_artifact_bytes,
    )
    return KeptArtifact(id=artifact_id)
