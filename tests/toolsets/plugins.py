"""Plugins, good and bad, for entry points to point at. Each class stands for the module of an installed package."""

from toolsets import ToolContext, Toolset, hookimpl

weather = Toolset("weather")


@weather.tool(effect="read")
def sky(context: ToolContext) -> str:
    """Look up."""
    return "blue"


class Good:
    @staticmethod
    @hookimpl
    def register_toolset() -> Toolset:
        return weather


class SameName:
    @staticmethod
    @hookimpl
    def register_toolset() -> Toolset:
        return Toolset("weather")


class Raises:
    @staticmethod
    @hookimpl
    def register_toolset() -> Toolset:
        raise RuntimeError("no barometer")


class Exits:
    @staticmethod
    @hookimpl
    def register_toolset() -> Toolset:
        raise SystemExit(3)


class Nothing:
    pass


class ReturnsNone:
    @staticmethod
    @hookimpl
    def register_toolset() -> None:
        return None


class ReturnsText:
    @staticmethod
    @hookimpl
    def register_toolset() -> str:
        return "weather"


class UnknownHook:
    @staticmethod
    @hookimpl
    def register_toolset() -> Toolset:
        return weather

    @staticmethod
    @hookimpl
    def register_weather() -> None:
        return None


class Future:
    @staticmethod
    @hookimpl
    def register_toolset() -> Toolset:
        return Toolset("weather", requires=">=99")


class Past:
    @staticmethod
    @hookimpl
    def register_toolset() -> Toolset:
        return Toolset("weather", requires="<0.1")
