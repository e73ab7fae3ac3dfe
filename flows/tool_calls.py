"""The only way from a model to a tool: validate, ask the policies, tell, run, tell. No runtime can go round it."""

import asyncio
import json
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid5

from pydantic import BaseModel, JsonValue

from control_plane.wire.decisions import Decision, Outcome, Reason
from control_plane.wire.executions import EventType
from control_plane.wire.plan import Plan, PolicyPlan
from flows import tool_runs
from flows.blotting import Blotter, blotted_logs
from flows.fitting import MAX_ERROR_BYTES, cut
from flows.origin import origin
from flows.runtimes.protocol import Emit, GovernedTool, RunFailed
from flows.tool_outputs import output_of
from flows.tool_services import CallServices, Nothing, Provisions
from policies.engine import PolicyEngine
from policies.input import DecisionInput, ToolInput
from toolsets import SettingsInvalid, Tool, ToolContext, ToolFailed, Toolset
from toolsets.registry import Registry

logger = logging.getLogger(__name__)

MAX_INPUT_CHARACTERS = 100_000
"""Of a call's arguments, told in an event. The tool and the policies get all of them."""


@dataclass(frozen=True, slots=True)
class _Configured:
    """A toolset of the plan, with its settings as its own type and the names of the secrets that it may ask for."""

    toolset: Toolset
    settings: BaseModel
    secrets: frozenset[str]


@dataclass(slots=True)
class ToolCalls:
    """Governs the tool calls of one execution.

    `told` returns when everything emitted so far has been received, and raises if the execution isn't ours any more: a
    tool that changes the world runs only after that, so that nothing happens of which nobody knows.
    """

    plan: Plan
    engine: PolicyEngine
    emit: Emit
    told: Callable[[], Awaitable[None]]
    workspace: Path
    provisions: Provisions = field(default_factory=Nothing)
    made: int = 0
    _blotter: Blotter = field(default_factory=Blotter)

    @asynccontextmanager
    async def opened(self, registry: Registry) -> AsyncIterator[list[GovernedTool]]:
        """The tools of the plan's toolsets, each behind policy, until the block ends.

        Raises `ToolsetNotFound`, and `RunFailed` if one can't be used as the plan says.
        """
        # In a thread: it loads foreign code, which may take its time.
        configured = await asyncio.to_thread(self._configured, registry)
        async with AsyncExitStack() as stack:
            stack.enter_context(blotted_logs(self._blotter))
            tools = [(tool, one) for one in configured for tool in await self._opened(one, stack)]
            _refuse_twins([tool for tool, _ in tools])
            yield [self._governed(tool, configured) for tool, configured in tools]

    def _configured(self, registry: Registry) -> list[_Configured]:
        found = []
        for planned in self.plan.toolsets:
            toolset = registry.get(planned.name)
            try:
                settings = toolset.configured(planned.settings)
                found.append(_Configured(toolset, settings, frozenset(toolset.secrets_for(settings))))
            except SettingsInvalid as error:
                raise RunFailed(
                    f"{error} Correct its toolset configuration in this environment.", code="toolset_settings_invalid"
                ) from error
        return found

    async def _opened(self, configured: _Configured, stack: AsyncExitStack) -> Sequence[Tool]:
        toolset = configured.toolset
        services = CallServices(toolset.name, configured.secrets, self.provisions, self._blotter)
        context = self._context(configured, f"opening of {toolset.name}", services)
        try:
            return [*(await stack.enter_async_context(toolset.open(context))).values()]
        except ToolFailed as failure:
            text = self._blotter.text(str(failure))
            raise RunFailed(
                f"The toolset {toolset.name} can't be used: {text}", code="toolset_unavailable"
            ) from failure

    def _context(self, configured: _Configured, call_id: str, services: CallServices) -> ToolContext[BaseModel]:
        return ToolContext(
            execution_id=self.plan.execution_id,
            tool_execution_id=call_id,
            idempotency_key=call_id,
            workspace=self.workspace,
            settings=configured.settings,
            _services=services.services(call_id),
        )

    def _governed(self, tool: Tool, configured: _Configured) -> GovernedTool:
        async def call(arguments: Mapping[str, Any]) -> str:
            return await self._call(tool, configured, arguments)

        return GovernedTool(name=tool.name, description=tool.description, parameters=tool.parameters, call=call)

    async def _call(self, tool: Tool, configured: _Configured, arguments: Mapping[str, Any]) -> str:
        self.made += 1
        call_id = str(uuid5(self.plan.execution_id, f"tool call {self.made}"))
        try:
            # From here on everyone sees the same: the policies decide about exactly what the tool will get.
            arguments = tool.normalized(arguments)
        except ToolFailed as failure:
            return await self._completed(tool, call_id, "failed", _failure(failure))
        decision = await self._decide(tool, arguments)
        await self.emit(EventType.DECISION, {"data": _told(tool, call_id, decision)})
        if not decision.allowed:
            logger.info("tool %s: %s", tool.name, decision.outcome)
            return await self._completed(tool, call_id, "denied", {"error": _refusal(decision)})
        await self.emit(
            EventType.TOOL_STARTED,
            {
                "data": {
                    "tool_name": tool.name,
                    "tool_execution_id": call_id,
                    "tool_input": _shown(self._blotter.value(dict(arguments))),
                }
            },
        )
        if tool.effect != "read":
            await self.told()
        services = CallServices(tool.toolset, configured.secrets, self.provisions, self._blotter)
        services.telling(self.emit, tool_name=tool.name, tool_execution_id=call_id)
        limits = self.plan.limits
        most = limits.execution_seconds if tool.waits else limits.tool_call_seconds
        try:
            context = self._context(configured, call_id, services)
            ran = await tool_runs.run(tool, context, arguments, seconds=min(tool.timeout or most, most))
        finally:
            services.end()
        output = await output_of(ran, tool, call_id=call_id, blotter=self._blotter, provisions=self.provisions)
        return await self._completed(tool, call_id, ran.status, output)

    async def _decide(self, tool: Tool, arguments: Mapping[str, JsonValue]) -> Decision:
        try:
            asked = ToolInput(
                name=tool.name,
                toolset=tool.toolset,
                effect=tool.effect,
                idempotent=tool.idempotent,
                arguments=dict(arguments),
            )
            return await self.engine.decide(self.plan.policies, DecisionInput.of_tool_call(self.plan, asked))
        except Exception as error:  # noqa: BLE001 - no answer is a deny
            logger.error(  # noqa: TRY400 - its text isn't for the log
                "the policy engine failed on %s, which denies\n%s", tool.name, origin(error)
            )
            return _engine_failed(self.plan.policies)

    async def _completed(self, tool: Tool, call_id: str, status: str, output: dict[str, JsonValue]) -> str:
        await self.emit(
            EventType.TOOL_COMPLETED,
            {
                "data": {
                    "tool_name": tool.name,
                    "tool_execution_id": call_id,
                    "tool_status": status,
                    "tool_output": output,
                }
            },
        )
        return json.dumps(output, ensure_ascii=False)


def _refuse_twins(tools: Sequence[Tool]) -> None:
    """Models and policies know a tool by its name alone, so two of one name can't be told apart."""
    owners: dict[str, list[str]] = {}
    for tool in tools:
        owners.setdefault(tool.name, []).append(tool.toolset)
    for name, toolsets in owners.items():
        if len(toolsets) > 1:
            twice = [toolset for toolset, times in Counter(toolsets).items() if times > 1]
            what = (
                f"lists the toolset {twice[0]} twice" if twice else f"has {' and '.join(toolsets)}, which both bring it"
            )
            raise RunFailed(
                f"There are two tools called {name}: the agent {what}. Leave one out of its toolsets.",
                code="duplicate_tools",
            )


def _failure(failure: ToolFailed) -> dict[str, JsonValue]:
    return {"error": cut(str(failure), MAX_ERROR_BYTES)}


def _shown(arguments: JsonValue) -> JsonValue:
    """The arguments, or their beginning where they would be too much for an event."""
    text = json.dumps(arguments, ensure_ascii=False)
    if len(text) <= MAX_INPUT_CHARACTERS:
        return arguments
    return {"cut": f"{text[:MAX_INPUT_CHARACTERS]}… (the first {MAX_INPUT_CHARACTERS} of {len(text)} characters)"}


def _told(tool: Tool, call_id: str, decision: Decision) -> dict[str, JsonValue]:
    return {
        "tool_name": tool.name,
        "tool_execution_id": call_id,
        "outcome": decision.outcome,
        "reasons": [reason.model_dump() for reason in decision.reasons],
        "duration_ms": decision.duration_ms,
        "input_hash": decision.input_hash,
    }


def _refusal(decision: Decision) -> str:
    if decision.outcome is Outcome.REQUIRE_APPROVAL:
        return (
            f"Not run, because a person would have to approve it: {decision.explanation()}. Approvals can't be asked"
            " for yet, so do without this tool and say what is left to do."
        )
    return f"Denied: {decision.explanation()}. Asking again will not help; go on without it and say so."


def _engine_failed(policies: Sequence[PolicyPlan]) -> Decision:
    named = policies or [PolicyPlan(name="none", version=0, module="")]
    return Decision(
        outcome=Outcome.DENY,
        reasons=tuple(
            Reason(policy=policy.name, version=policy.version, rule="engine", reason="The policy engine failed")
            for policy in named
        ),
    )
