"""`/toolset-configs`."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from control_plane.auth.dependencies import Db, MayReadToolsetConfigs, MayWriteToolsetConfigs
from control_plane.contract import Text
from control_plane.etags import CONDITIONAL, CREATED, TAGGED, Conditional, IfMatch, PreconditionFailed, tagged
from control_plane.pagination import Paged
from control_plane.problems import AlreadyExists, Invalid, NotFound, problems
from control_plane.toolset_configs import service as toolset_configs
from control_plane.toolset_configs.models import ToolsetConfig
from control_plane.toolset_configs.schemas import ToolsetConfigCreate, ToolsetConfigRead, ToolsetConfigUpdate
from control_plane.transactions import TenantRoute

router = APIRouter(prefix="/toolset-configs", tags=["toolsets"], route_class=TenantRoute)


@router.post("", status_code=201, responses=problems(AlreadyExists, Invalid) | CREATED)
async def create_toolset_config(
    body: ToolsetConfigCreate, principal: MayWriteToolsetConfigs, session: Db, response: Response
) -> ToolsetConfigRead:
    """Configure a toolset in an environment, a project or the organization, for executions created from now on.

    It takes a role in the whole organization: what toolsets may do, and which secrets they get, is decided here.
    """
    config = await toolset_configs.create(session, principal.tenant, body)
    response.headers["Location"] = f"/api/v1/toolset-configs/{config.id}"
    return tagged(response, await _read(config))


@router.get("")
async def list_toolset_configs(
    _: MayReadToolsetConfigs,
    session: Db,
    page: Paged,
    toolset: Annotated[Text | None, Query(description="Only those of the toolset of this name.")] = None,
    project_id: Annotated[UUID | None, Query(description="Only those for this project, or something in it.")] = None,
    environment_id: Annotated[UUID | None, Query(description="Only those for this environment.")] = None,
) -> list[ToolsetConfigRead]:
    """Configurations of toolsets, newest first."""
    found = await toolset_configs.listed(
        session, page, toolset=toolset, project_id=project_id, environment_id=environment_id
    )
    return [await _read(config) for config in found]


@router.get("/{config_id}", responses=problems(NotFound) | CONDITIONAL)
async def get_toolset_config(
    config_id: UUID, _: MayReadToolsetConfigs, session: Db, conditional: Conditional
) -> ToolsetConfigRead:
    """One configuration of a toolset."""
    return conditional.answer(await _read(await toolset_configs.get(session, config_id)))


@router.patch("/{config_id}", responses=problems(NotFound, Invalid, PreconditionFailed) | TAGGED)
async def change_toolset_config(
    config_id: UUID,
    body: ToolsetConfigUpdate,
    _: MayWriteToolsetConfigs,
    session: Db,
    if_match: IfMatch,
    response: Response,
) -> ToolsetConfigRead:
    """Change a configuration. Executions that exist keep what they were created with."""
    config = await toolset_configs.get(session, config_id, lock=True)
    if_match.check(config)
    await toolset_configs.change(session, config, body)
    return tagged(response, await _read(config))


@router.delete("/{config_id}", status_code=204, responses=problems(NotFound, PreconditionFailed))
async def delete_toolset_config(config_id: UUID, _: MayWriteToolsetConfigs, session: Db, if_match: IfMatch) -> None:
    """Remove a configuration. From now on a wider one counts, or what the toolset does by itself."""
    config = await toolset_configs.get(session, config_id, lock=True)
    if_match.check(config)
    await toolset_configs.delete(session, config)


async def _read(config: ToolsetConfig) -> ToolsetConfigRead:
    return ToolsetConfigRead.of(config, note=await toolset_configs.note(config))
