"""`/toolsets`."""

from fastapi import APIRouter

from control_plane.auth.dependencies import MayReadToolsets
from control_plane.installed_toolsets import service as installed_toolsets
from control_plane.installed_toolsets.schemas import ToolsetRead
from control_plane.transactions import TenantRoute

router = APIRouter(prefix="/toolsets", tags=["toolsets"], route_class=TenantRoute)


@router.get("")
async def list_toolsets(_: MayReadToolsets) -> list[ToolsetRead]:
    """The toolsets installed where this server runs, by name: their tools with schema and effect.

    A worker has its own; an agent may name one that only its workers have.
    """
    return await installed_toolsets.listed()
