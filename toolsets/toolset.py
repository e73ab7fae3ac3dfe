"""What a plugin author writes: a toolset, and typed functions as its tools."""

import inspect
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeVar

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from pydantic import BaseModel

from toolsets.arguments import argument_model, parser, schema_of
from toolsets.configuration import NoSettings, checked, validated
from toolsets.context import ToolContext
from toolsets.described import schema_parser
from toolsets.outputs import MAX_OUTPUT_CHARACTERS
from toolsets.tool import Effect, Tool

Function = TypeVar("Function", bound=Callable[..., Any])
Names = Sequence[str] | Callable[[Any], Sequence[str]]
"""A list, or a function of the settings."""
Opening = Callable[[ToolContext[Any]], AbstractAsyncContextManager[Sequence[Tool]]]

_NAME = re.compile(r"[a-z][a-z0-9_]{0,30}")
_TOOL_NAME = re.compile(r"[A-Za-z0-9_-]+")


class Toolset:
    """A named group of tools.

    `settings` is the model of what whoever runs an environment may set. `secrets` are the names of the secrets that the
    tools may ask for; nothing else is released to them. `hosts` are the network hosts they need, for people and
    policies to read. Both are lists, or functions of the settings. `requires` is the range of versions of this
    interface (`toolsets.API_VERSION`) that the toolset works with, such as `>=0.1,<1`.
    """

    def __init__(
        self,
        name: str,
        *,
        description: str = "",
        settings: type[BaseModel] = NoSettings,
        secrets: Names = (),
        hosts: Names = (),
        requires: str = "",
    ) -> None:
        if not _NAME.fullmatch(name):
            raise ValueError(f"a toolset's name is lower-case letters, digits and underscores, not {name!r}")
        try:
            self.requires = SpecifierSet(requires)
        except InvalidSpecifier as error:
            raise ValueError(f"{name} requires {requires!r}, which is no range of versions such as >=0.1,<1") from error
        self.name = name
        self.description = description
        self.settings = checked(name, settings)
        self.secrets = () if callable(secrets) else tuple(secrets)
        self.hosts = () if callable(hosts) else tuple(hosts)
        self.tools: dict[str, Tool] = {}
        self._secrets = secrets
        self._hosts = hosts
        self._opening: Opening | None = None

    def tool(
        self,
        *,
        effect: Effect,
        idempotent: bool = False,
        timeout: float | None = None,
        max_output: int = MAX_OUTPUT_CHARACTERS,
        waits: bool = False,
    ) -> Callable[[Function], Function]:
        """Make a typed function a tool. Its first parameter is the `ToolContext`, its docstring the description.

        `effect` is required: policies decide by it. `idempotent` says that calling it twice with the same idempotency
        key does no more than calling it once; a `read` always is. `timeout` is in seconds, and an execution may set a
        shorter one, unless the tool `waits` for what has limits of its own, such as another agent. Of a result longer
        than `max_output` characters the model reads the beginning.
        """

        def register(function: Function) -> Function:
            name = f"{self.name}_{function.__name__}"
            arguments = argument_model(name, function, settings=self.settings)
            tool = Tool(
                name=name,
                toolset=self.name,
                description=inspect.getdoc(function) or "",
                effect=effect,
                idempotent=idempotent or effect == "read",
                parameters=schema_of(arguments),
                timeout=timeout,
                max_output=max_output,
                waits=waits,
                _function=function,
                _parse=parser(name, arguments),
            )
            if name in self.tools:
                raise ValueError(f"{self.name} has two tools called {function.__name__}")
            self.tools[name] = tool
            return function

        return register

    def described(
        self,
        name: str,
        function: Callable[..., Any],
        *,
        description: str,
        parameters: dict[str, Any],
        effect: Effect,
        idempotent: bool = False,
        timeout: float | None = None,
        max_output: int = MAX_OUTPUT_CHARACTERS,
    ) -> Tool:
        """A tool known only by a JSON Schema, for `opening` to yield. It isn't registered.

        The function is called with the context and the keyword `arguments`, an object that fits the schema.
        """
        full = f"{self.name}_{name}"
        if not _TOOL_NAME.fullmatch(full):
            raise ValueError(f"the name {full!r} has more than letters, digits, underscores and hyphens")
        return Tool(
            name=full,
            toolset=self.name,
            description=description,
            effect=effect,
            idempotent=idempotent or effect == "read",
            parameters=parameters,
            timeout=timeout,
            max_output=max_output,
            _function=function,
            _parse=schema_parser(full, parameters),
            _packed=True,
        )

    def opening(self, function: Opening) -> Opening:
        """Have tools that only exist once an execution runs: a decorator for an async context manager.

        It is entered with a `ToolContext` when the execution begins, yields more tools, and is left when it ends. Raise
        `ToolFailed` where that can't be done; the execution then fails with its text.
        """
        self._opening = function
        return function

    @asynccontextmanager
    async def open(self, context: ToolContext[Any]) -> AsyncIterator[Mapping[str, Tool]]:
        """All tools of one execution. Raises `ValueError` for one that is another toolset's, or comes twice."""
        if self._opening is None:
            yield self.tools
            return
        async with self._opening(context) as more:
            tools = dict(self.tools)
            for tool in more:
                if tool.toolset != self.name or tool.name in tools:
                    raise ValueError(f"{self.name} opens {tool.name}, which is another toolset's or is there already")
                tools[tool.name] = tool
            yield tools

    def configured(self, settings: Mapping[str, Any]) -> BaseModel:
        """Settings as the tools get them. Raises `SettingsInvalid` naming each that is wrong."""
        return validated(self.name, self.settings, settings)

    def secrets_for(self, settings: BaseModel) -> tuple[str, ...]:
        """The names of the secrets that the tools may ask for under these settings."""
        return tuple(self._secrets(settings)) if callable(self._secrets) else self.secrets

    def hosts_for(self, settings: BaseModel) -> tuple[str, ...]:
        """The network hosts that the tools need under these settings."""
        return tuple(self._hosts(settings)) if callable(self._hosts) else self.hosts
