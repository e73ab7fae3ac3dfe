"""The only way from a model to a tool: validate, ask the policies, tell, run, tell. No runtime can go round it."""

import asyncio
import json
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid5

from prefect import Task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed
from pydantic import JsonValue

from control_plane.wire.decisions import Decision, Outcome, Reason
from control_plane.wire.executions import EventType
from control_plane.wire.plan import Plan, PolicyPlan
from flows.fitting import MAX_ERROR_BYTES, cut
from flows.origin import origin
from flows.runtimes.protocol import Emit, GovernedTool, RunFailed
from policies.engine import PolicyEngine
from policies.input import DecisionInput, ToolInput
from toolsets import Tool, ToolContext, ToolFailed
from toolsets.registry import Registry

logger = logging.getLogger(__name__)

MAX_INPUT_CHARACTERS = 100_000
"""Of a call's arguments, told in an event. The tool and the policies get all of them."""


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
    made: int = 0

    def govern(self, registry: Registry) -> list[GovernedTool]:
        """The tools of the plan's toolsets, each behind policy. Raises `ToolsetNotFound`, `RunFailed`.

        Loads the toolsets, which is foreign code and may take its time.
        """
        tools = [
            (tool, toolset.settings)
            for toolset in self.plan.toolsets
            for tool in registry.get(toolset.name).tools.values()
        ]
        _refuse_twins([tool for tool, _ in tools])
        return [self._governed(tool, settings) for tool, settings in tools]

    def _governed(self, tool: Tool, settings: Mapping[str, JsonValue]) -> GovernedTool:
        async def call(arguments: Mapping[str, Any]) -> str:
            return await self._call(tool, settings, arguments)

        return GovernedTool(name=tool.name, description=tool.description, parameters=tool.parameters, call=call)

    async def _call(self, tool: Tool, settings: Mapping[str, JsonValue], arguments: Mapping[str, Any]) -> str:
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
            {"data": {"tool_name": tool.name, "tool_execution_id": call_id, "tool_input": _shown(arguments)}},
        )
        if tool.effect != "read":
            await self.told()
        context = ToolContext(
            execution_id=self.plan.execution_id,
            tool_execution_id=call_id,
            idempotency_key=call_id,
            workspace=self.workspace,
            settings=settings,
        )
        status, output = await self._run(tool, context, arguments)
        return await self._completed(tool, call_id, status, output)

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

    async def _run(
        self, tool: Tool, context: ToolContext, arguments: Mapping[str, JsonValue]
    ) -> tuple[str, dict[str, JsonValue]]:
        """Run the tool as a Prefect task. What it takes, returns and raises stays here and never reaches Prefect."""
        outcome: list[tuple[str, dict[str, JsonValue]]] = []
        seconds = self.plan.limits.tool_call_seconds

        async def run() -> State[Any]:
            try:
                async with asyncio.timeout(seconds) as limit:
                    result = await tool.call(context, arguments)
            except ToolFailed as failure:
                outcome.append(("failed", _failure(failure)))
            except (Exception, SystemExit, asyncio.CancelledError) as error:
                if _is_cancelled(error):
                    raise
                # A tool's own TimeoutError is a failure like any other. A thread can't be stopped, only left alone.
                if limit.expired():
                    text = f"{tool.name} took longer than {seconds:g} s. What it had begun may still take effect."
                else:
                    logger.error("the tool %s has a bug\n%s", tool.name, origin(error))  # noqa: TRY400 - not its text
                    text = f"{tool.name} failed unexpectedly; the worker's log says why."
                outcome.append(("failed", {"error": text}))
            else:
                outcome.append(("completed", result if isinstance(result, dict) else {"result": result}))
                return Completed()
            return Failed(message="The tool failed; the execution's events say why.")

        task: Task[[], Any] = Task(
            run,
            name=tool.name,
            task_run_name=tool.name,
            description=None,
            persist_result=False,
            cache_policy=NO_CACHE,
            retries=0,
            log_prints=False,
        )
        running: Any = task(return_state=True)
        await running
        if not outcome:
            return "failed", {"error": f"{tool.name} was not run: Prefect did not start its task."}
        return outcome[0]

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


def _is_cancelled(error: BaseException) -> bool:
    """Whether we are to stop; a tool may also raise this error by itself, which is a bug of the tool."""
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() > 0


def _shown(arguments: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """The arguments, or their beginning where they would be too much for an event."""
    text = json.dumps(arguments, ensure_ascii=False)
    if len(text) <= MAX_INPUT_CHARACTERS:
        return dict(arguments)
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
