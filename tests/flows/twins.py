"""Two toolsets whose tools share one name: `a` with `b_c`, and `a_b` with `c`."""

from toolsets import ToolContext, Toolset, hookimpl

_first = Toolset("a")
_second = Toolset("a_b")


@_first.tool(effect="read")
def b_c(context: ToolContext) -> str:
    """Say which it is."""
    return "b_c of a"


@_second.tool(effect="read")
def c(context: ToolContext) -> str:
    """Say which it is."""
    return "c of a_b"


class a:  # noqa: N801 - stands for the module of a package
    @staticmethod
    @hookimpl
    def register_toolset() -> Toolset:
        return _first


class a_b:  # noqa: N801 - stands for the module of a package
    @staticmethod
    @hookimpl
    def register_toolset() -> Toolset:
        return _second
