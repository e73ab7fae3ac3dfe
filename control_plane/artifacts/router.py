"""`/executions/{execution_id}/artifacts`."""

from typing import Any
from urllib.parse import quote
from uuid import UUID

from fastapi import APIRouter, Response

from control_plane.artifacts import service as artifacts
from control_plane.artifacts.schemas import ArtifactRead
from control_plane.auth.dependencies import Db, MayReadExecutions
from control_plane.pagination import Paged
from control_plane.problems import NotFound, problems
from control_plane.transactions import TenantRoute

router = APIRouter(prefix="/executions/{execution_id}/artifacts", tags=["executions"], route_class=TenantRoute)

_BINARY = "application/octet-stream"
_FILE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The file, as it was kept.",
        "content": {_BINARY: {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.get("", responses=problems(NotFound))
async def list_artifacts(execution_id: UUID, _: MayReadExecutions, session: Db, page: Paged) -> list[ArtifactRead]:
    """What the execution has left behind, newest first: whole outputs of tools that were too long for the model."""
    return [ArtifactRead.model_validate(found) for found in await artifacts.listed(session, execution_id, page)]


@router.get("/{artifact_id}", response_class=Response, responses=_FILE | problems(NotFound))
async def get_artifact(execution_id: UUID, artifact_id: UUID, _: MayReadExecutions, session: Db) -> Response:
    """Download one. Whatever it holds was found by a tool, so no browser is to open it."""
    artifact = await artifacts.get(session, execution_id, artifact_id)
    headers = {
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(artifact.name, safe='')}",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "sandbox; default-src 'none'",
    }
    return Response(artifact.content, media_type=_BINARY, headers=headers)
