"""Settings of a toolset: what whoever runs an environment decides, and neither agent nor model can change."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError


class NoSettings(BaseModel):
    """What a toolset has that declares none: any setting given to it is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class SettingsInvalid(ValueError):
    """Settings that their toolset refuses. `str()` names each that is wrong, but no value: it may be a secret."""


def checked(toolset: str, model: object) -> type[BaseModel]:
    """The model, if it can hold settings. Raises `TypeError`: a setting that is dropped silently protects nobody."""
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        raise TypeError(f"the settings of {toolset} must be a subclass of pydantic's BaseModel")
    if model.model_config.get("extra") != "forbid" or not model.model_config.get("frozen"):
        raise TypeError(
            f"the settings of {toolset} need `model_config = ConfigDict(frozen=True, extra='forbid')`, so that none is"
            " dropped silently and no tool changes them"
        )
    return model


def validated(toolset: str, model: type[BaseModel], settings: Mapping[str, Any]) -> BaseModel:
    """The settings as the toolset's own type. Raises `SettingsInvalid`."""
    try:
        return model.model_validate(dict(settings))
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(str(part) for part in item['loc']) or 'settings'}: {item['msg']}"
            for item in error.errors(include_input=False, include_context=False)
        )
        raise SettingsInvalid(f"The settings of the toolset {toolset} are wrong. {wrong}.") from None
