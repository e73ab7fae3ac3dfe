"""Configurations of toolsets: written by people, read when an execution is planned."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, ColumnElement, cast, func, or_, select
from sqlalchemy import delete as sql_delete
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.db import Base
from control_plane.environments import service as environments
from control_plane.installed_toolsets import service as installed_toolsets
from control_plane.pagination import Page
from control_plane.problems import AlreadyExists, Conflict, Invalid, NotFound
from control_plane.projects import service as projects
from control_plane.secrets import service as secrets
from control_plane.toolset_configs.models import ToolsetConfig
from control_plane.toolset_configs.schemas import ToolsetConfigCreate, ToolsetConfigUpdate
from control_plane.wire.plan import ToolsetPlan
from toolsets import SettingsInvalid


class ToolsetDisabled(Conflict):
    """A toolset that the agent needs is switched off where it runs, by a toolset configuration."""

    code, title = "toolset_disabled", "A toolset is switched off there"


async def create(session: AsyncSession, organization_id: UUID, body: ToolsetConfigCreate) -> ToolsetConfig:
    """Configure a toolset in a place. Raises `Invalid` and `AlreadyExists`."""
    config = ToolsetConfig(
        organization_id=organization_id,
        toolset=body.toolset,
        project_id=await _project(session, body),
        environment_id=body.environment_id,
        settings=body.settings,
        secrets=body.secrets,
        enabled=body.enabled,
    )
    await _check(session, config)
    session.add(config)
    try:
        await session.flush()
    except IntegrityError as error:
        raise AlreadyExists(f"The toolset {body.toolset} is configured there already: change that.") from error
    return config


async def get(session: AsyncSession, config_id: UUID, *, lock: bool = False) -> ToolsetConfig:
    """One configuration. Raises `NotFound`."""
    statement = select(ToolsetConfig).where(ToolsetConfig.id == config_id)
    config = await session.scalar(statement.with_for_update() if lock else statement)
    if config is None:
        raise NotFound.of("toolset configuration", config_id)
    return config


async def listed(session: AsyncSession, page: Page, **equal: UUID | str | None) -> list[ToolsetConfig]:
    """A page of configurations. `equal` are columns and what they must be; None admits everything."""
    statement = select(ToolsetConfig)
    for name, value in equal.items():
        if value is not None:
            statement = statement.where(getattr(ToolsetConfig, name) == value)
    return await page.fetch(session, statement, ToolsetConfig)


async def change(session: AsyncSession, config: ToolsetConfig, body: ToolsetConfigUpdate) -> None:
    """Merge changes into a locked configuration. Executions that exist keep what they have. Raises `Invalid`."""
    for name, value in body.changes().items():
        setattr(config, name, value)
    await _check(session, config)
    await session.flush()


async def delete(session: AsyncSession, config: ToolsetConfig) -> None:
    """Remove a configuration; from now on a wider one counts, or what the toolset does by itself."""
    await session.execute(sql_delete(ToolsetConfig).where(ToolsetConfig.id == config.id))


async def note(config: ToolsetConfig) -> str | None:
    """What couldn't be checked of a configuration."""
    if await installed_toolsets.find(config.toolset) is not None:
        return None
    return (
        f"This server has no working toolset {config.toolset}, so workers check its settings before an execution"
        " begins, and it is given the secrets that are named here and no others."
    )


def applying(
    *, project_id: ColumnElement[UUID], environment_id: ColumnElement[UUID], of: Sequence[type[Base]]
) -> ColumnElement[Any]:
    """A column for a statement about an environment, read with `planned`: what is configured there, wherever it is.

    `of` are the tables whose columns are given.
    """
    table = ToolsetConfig
    found = func.json_build_object(
        *("toolset", table.toolset, "settings", table.settings, "secrets", table.secrets, "enabled", table.enabled),
        *("narrowness", func.num_nonnulls(table.project_id, table.environment_id)),
    )
    return (
        select(func.coalesce(func.json_agg(found, type_=JSON), cast([], JSON)))
        .where(
            or_(table.project_id == project_id, table.project_id.is_(None)),
            or_(table.environment_id == environment_id, table.environment_id.is_(None)),
        )
        .correlate(*of)
        .scalar_subquery()
    )


async def planned(names: Sequence[str], found: Sequence[Mapping[str, Any]]) -> list[ToolsetPlan]:
    """The toolsets of an agent as they are in its environment, from the column `applying`. Raises `ToolsetDisabled`.

    Which secrets an execution may ever get is settled here, by what people have configured and by what this server has
    installed. What a worker has installed, and says of it, doesn't count.
    """
    narrowest: dict[str, Mapping[str, Any]] = {}
    for config in sorted(found, key=lambda config: int(config["narrowness"])):
        narrowest[config["toolset"]] = config
    if off := sorted(name for name in names if name in narrowest and not narrowest[name]["enabled"]):
        raise ToolsetDisabled(
            f"The toolset {', '.join(off)} is switched off in this environment. Switch it on in its toolset"
            " configuration, or take it from the agent."
        )
    return [await _planned(name, narrowest.get(name, {"settings": {}, "secrets": {}})) for name in names]


async def _planned(name: str, config: Mapping[str, Any]) -> ToolsetPlan:
    mapped: dict[str, str] = dict(config["secrets"])
    declared = await _declared(name, config["settings"])
    if declared is not None:
        mapped = {asked: mapped.get(asked, asked) for asked in declared}
    return ToolsetPlan(name=name, settings=config["settings"], secrets=mapped)


async def _declared(name: str, settings: Mapping[str, Any]) -> Sequence[str] | None:
    """The secrets that a toolset asks for by the word of the plugin that this server has; None if it has none."""
    toolset = await installed_toolsets.find(name)
    if toolset is None:
        return None
    try:
        return toolset.secrets_for(toolset.configured(settings))
    except SettingsInvalid:
        # The worker says so before anything happens; there is nothing to give out.
        return ()


async def _check(session: AsyncSession, config: ToolsetConfig) -> None:
    toolset = await installed_toolsets.find(config.toolset)
    if toolset is not None:
        try:
            declared = toolset.secrets_for(toolset.configured(config.settings))
        except SettingsInvalid as error:
            raise Invalid(str(error), location="body.settings") from error
        if unknown := sorted(config.secrets.keys() - set(declared)):
            raise Invalid(
                f"The toolset {config.toolset} asks for no secret {', '.join(unknown)}; with these settings it asks for"
                f" {', '.join(declared) or 'none'}.",
                location="body.secrets",
            )
    for name in sorted(set(config.secrets.values())):
        await _check_secret(session, name, environment_id=config.environment_id)


async def _check_secret(session: AsyncSession, name: str, *, environment_id: UUID | None) -> None:
    try:
        secret = await secrets.get(session, name)
    except NotFound as error:
        raise Invalid(f"There is no secret {name}. Create it first.", location="body.secrets") from error
    if secret.environment_id is not None and environment_id not in {None, secret.environment_id}:
        raise Invalid(f"The secret {name} is for another environment alone.", location="body.secrets")


async def _project(session: AsyncSession, body: ToolsetConfigCreate) -> UUID | None:
    try:
        if body.environment_id is not None:
            return (await environments.get(session, body.environment_id)).project_id
        if body.project_id is not None:
            return (await projects.get(session, body.project_id)).id
    except NotFound as error:
        location = "body.environment_id" if body.environment_id is not None else "body.project_id"
        raise Invalid(error.detail, location=location) from error
    return None
