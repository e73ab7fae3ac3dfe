from collections.abc import Mapping
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, SecretStr

from toolsets import SettingsInvalid, ToolContext, Toolset

pytestmark = pytest.mark.unit


class ShellSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    commands: list[str] = []
    seconds: int = 5


class Loose(BaseModel):
    model_config = ConfigDict(frozen=True)


class Changeable(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Typed(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    password: SecretStr
    seconds: int


shell = Toolset(
    "shell",
    settings=ShellSettings,
    secrets=lambda settings: settings.commands,
    hosts=lambda settings: [f"{command}.example.com" for command in settings.commands],
)


def test_settings_arrive_as_their_type() -> None:
    assert shell.configured({"commands": ["ls"]}) == ShellSettings(commands=["ls"], seconds=5)


@pytest.mark.parametrize(
    ("settings", "named"),
    [({"command": ["ls"]}, "command: Extra inputs"), ({"seconds": "soon", "commands": 5}, "; seconds: ")],
)
def test_wrong_settings_are_named(settings: Mapping[str, Any], named: str) -> None:
    with pytest.raises(SettingsInvalid, match="The settings of the toolset shell are wrong") as caught:
        shell.configured(settings)

    assert named in str(caught.value)


def test_the_value_of_a_wrong_setting_is_not_told() -> None:
    toolset = Toolset("vault", settings=Typed)

    with pytest.raises(SettingsInvalid) as caught:
        toolset.configured({"password": "canary", "seconds": "canary"})

    assert "canary" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_toolset_without_settings_refuses_any() -> None:
    with pytest.raises(SettingsInvalid, match="root: Extra inputs"):
        Toolset("clock").configured({"root": "/"})


@pytest.mark.parametrize("model", [Loose, Changeable, dict, "settings"])
def test_a_model_that_would_drop_or_change_settings_is_refused(model: Any) -> None:
    with pytest.raises(TypeError, match="settings of shell"):
        Toolset("shell", settings=model)


def test_secrets_and_hosts_may_follow_from_the_settings() -> None:
    settings = shell.configured({"commands": ["git"]})

    assert shell.secrets_for(settings) == ("git",)
    assert shell.hosts_for(settings) == ("git.example.com",)
    assert (shell.secrets, shell.hosts) == ((), ())


def test_a_tool_that_wants_other_settings_than_its_toolset_has_is_refused() -> None:
    def run(context: ToolContext[Typed]) -> None:
        """Run."""

    with pytest.raises(TypeError, match="wants settings of type Typed, but its toolset has ShellSettings"):
        Toolset("shell", settings=ShellSettings).tool(effect="read")(run)


def test_a_range_of_versions_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="no range of versions"):
        Toolset("shell", requires="newer than 1")
