"""Decisions by regorus, Microsoft's Rego interpreter, in a child process that may die at any time.

A tenant's policy can loop, exhaust memory or crash the interpreter. So the interpreter runs apart, with an empty
environment and limits, one decision at a time; at the deadline it is killed and the decision is a deny.
"""

import asyncio
import contextlib
import hashlib
import json
import os
import re
import signal
import struct
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from control_plane import install_command
from control_plane.wire.decisions import Decision, Outcome, Reason
from control_plane.wire.plan import PolicyPlan
from policies.engine import InvalidPolicy
from policies.input import EXAMPLE, DecisionInput

DEADLINE = timedelta(milliseconds=500)
MAX_REQUEST_BYTES = 8 << 20
MAX_ANSWER_BYTES = 256 << 10
"""A longer answer would not fit into the event that tells it."""
MAX_REASONS = 100
"""So that a policy that has a reason for everything can still be read."""
ENGINE_RULE = "engine"
"""The rule that a reason names when no rule of the policy spoke, but the engine could not get an answer from it."""

_START_SECONDS = 15.0
"""It takes 0.03 s on an idle machine. Starting is not the policy's fault, so the deadline doesn't count it."""

_NOT_STARTED = "the engine did not start; `control-plane doctor` may say why"
_CHILD = Path(__file__).with_name("regorus_child.py")
_POSITION = re.compile(r"--> policy\.rego:(\d+):(\d+)")
_MESSAGE = re.compile(r"^error: (.*)", re.MULTILINE | re.DOTALL)
_RULES = {"deny": Outcome.DENY, "require_approval": Outcome.REQUIRE_APPROVAL}


class EngineFailed(Exception):
    """The engine gave no answer."""


@dataclass
class _Child:
    process: asyncio.subprocess.Process
    known: set[str] = field(default_factory=set)


class RegorusEngine:
    """Use as an async context manager, or call `aclose()`. Safe for concurrent use."""

    def __init__(self, *, deadline: timedelta = DEADLINE) -> None:
        self._deadline = deadline
        self._turn = asyncio.Lock()
        self._child: _Child | None = None
        self._closed = False

    async def __aenter__(self) -> Self:
        async with self._turn:
            self._child = await self._spawn()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Kill the child, if there is one. Whatever is decided afterwards is a deny."""
        async with self._turn:
            self._closed = True
            await self._kill()

    @property
    def pid(self) -> int | None:
        """The child's process id while it lives."""
        return self._child.process.pid if self._child else None

    async def decide(self, policies: Sequence[PolicyPlan], document: DecisionInput) -> Decision:
        """See `PolicyEngine.decide`."""
        started = time.perf_counter()
        reasons: list[tuple[Outcome, Reason]] = []
        if policies:
            try:
                answers = await self._ask([(policy.module, policy.data) for policy in policies], document.canonical())
            except EngineFailed as failure:
                reasons = [(Outcome.DENY, _engine_reason(policy, str(failure))) for policy in policies]
            else:
                for policy, answer in zip(policies, answers, strict=True):
                    reasons += _read(policy, answer)
        outcome = min((outcome for outcome, _ in reasons), default=Outcome.ALLOW, key=list(Outcome).index)
        spoken = sorted(
            {reason for said, reason in reasons if said is outcome}, key=lambda r: (r.policy, r.rule, r.reason)
        )
        return Decision(
            outcome=outcome,
            reasons=tuple(spoken[:MAX_REASONS]),
            duration_ms=round((time.perf_counter() - started) * 1000, 3),
            input_hash=document.digest(),
        )

    async def validate(self, module: str) -> None:
        """See `PolicyEngine.validate`."""
        try:
            [answer] = await self._ask([(module, {})], EXAMPLE.canonical())
        except EngineFailed as failure:
            raise InvalidPolicy(f"The policy can't be evaluated on the example input: {failure}.") from failure
        if "error" in answer:
            raise _invalid(answer["error"])
        if not answer["value"]:
            raise InvalidPolicy(
                "The policy defines neither `deny` nor `require_approval`, so it would allow everything. Write for"
                ' example: deny contains "no deletions" if input.tool.effect == "destroy".'
            )
        example = PolicyPlan(name="policy", version=1, module=module)
        for _, reason in _read(example, answer):
            if reason.rule == ENGINE_RULE:
                raise InvalidPolicy(f'{reason.reason}. Write `deny contains "why" if {{ … }}`.')

    async def _ask(self, modules: Sequence[tuple[str, dict[str, Any]]], document: str) -> list[dict[str, Any]]:
        async with self._turn:
            if self._closed:
                raise EngineFailed("the engine is closed")
            if self._child is None or self._child.process.returncode is not None:
                self._child = await self._spawn()
            try:
                async with asyncio.timeout(self._deadline.total_seconds()):
                    answers = await self._exchange(self._child, modules, document)
                    if any("forgotten" in answer for answer in answers):
                        self._child.known.clear()
                        answers = await self._exchange(self._child, modules, document)
                return answers
            except TimeoutError:
                await self._kill()
                milliseconds = round(self._deadline.total_seconds() * 1000)
                raise EngineFailed(f"it took longer than {milliseconds} ms and was stopped") from None
            except EngineFailed:
                await self._kill()
                raise
            except Exception as error:
                await self._kill()
                raise EngineFailed("it crashed the engine") from error
            except BaseException:
                # Cancelled in the middle of an exchange: the next decision must not read this one's answer.
                await self._kill()
                raise

    async def _exchange(
        self, child: _Child, modules: Sequence[tuple[str, dict[str, Any]]], document: str
    ) -> list[dict[str, Any]]:
        request, keys = self._request(modules, document, known=child.known)
        answers = await _converse(child.process, request)
        if len(answers) != len(modules):
            raise EngineFailed("the engine's answer is incomplete")
        child.known.update(keys)
        return answers

    @staticmethod
    def _request(
        modules: Sequence[tuple[str, dict[str, Any]]], document: str, *, known: set[str]
    ) -> tuple[bytes, list[str]]:
        parts, keys = [], []
        for source, config in modules:
            key = hashlib.sha256(json.dumps([source, config], sort_keys=True).encode()).hexdigest()
            keys.append(key)
            parts.append({"key": key} if key in known else {"key": key, "source": source, "config": config})
        body = json.dumps({"modules": parts, "input": document}).encode()
        if len(body) > MAX_REQUEST_BYTES:
            raise EngineFailed(f"the policy and its input are larger than {MAX_REQUEST_BYTES} bytes")
        return struct.pack(">I", len(body)) + body, keys

    async def _spawn(self) -> _Child:
        spec = find_spec("regorus")
        if spec is None or spec.origin is None:
            raise EngineFailed(f"the Rego engine is not installed: {install_command('worker')}")
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-I",
                "-S",
                str(_CHILD),
                str(Path(spec.origin).parent.parent),
                str(self._deadline.total_seconds() * 4),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env={},
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            raise EngineFailed(_NOT_STARTED) from error
        try:
            async with asyncio.timeout(_START_SECONDS):
                await _receive(process)
        except Exception as error:
            await _end(process)
            raise EngineFailed(_NOT_STARTED) from error
        except BaseException:
            await _end(process)
            raise
        return _Child(process)

    async def _kill(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            await _end(child.process)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        # Not Process.kill(): it would reap a child that has crashed before asyncio can.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    # Not Process.wait(): it waits for the end of a pipe that is full of an answer nobody reads.
    await process.communicate()


async def _converse(process: asyncio.subprocess.Process, request: bytes) -> list[dict[str, Any]]:
    if process.stdin is None:
        raise EngineFailed("the engine has no pipes")
    process.stdin.write(request)
    await process.stdin.drain()
    return await _receive(process)


async def _receive(process: asyncio.subprocess.Process) -> list[dict[str, Any]]:
    if process.stdout is None:
        raise EngineFailed("the engine has no pipes")
    (length,) = struct.unpack(">I", await process.stdout.readexactly(4))
    if length > MAX_ANSWER_BYTES:
        raise EngineFailed(f"its answer is larger than {MAX_ANSWER_BYTES} bytes")
    answers = json.loads(await process.stdout.readexactly(length))
    if not isinstance(answers, list) or not all(isinstance(answer, dict) for answer in answers):
        raise EngineFailed("the engine's answer has the wrong shape")
    return answers


def _read(policy: PolicyPlan, answer: dict[str, Any]) -> list[tuple[Outcome, Reason]]:
    value = answer.get("value")
    if not isinstance(value, dict):
        return [(Outcome.DENY, _engine_reason(policy, _summary(str(answer.get("error", "it gave no answer")))))]
    if not value:
        return [(Outcome.DENY, _engine_reason(policy, "it defines neither `deny` nor `require_approval`"))]
    said: list[tuple[Outcome, Reason]] = []
    for rule, elements in value.items():
        if rule not in _RULES or not isinstance(elements, list):
            said.append((Outcome.DENY, _engine_reason(policy, f"`{rule}` is not a set of reasons")))
            continue
        said += [_element(policy, rule, element) for element in elements]
    return said


def _element(policy: PolicyPlan, rule: str, element: object) -> tuple[Outcome, Reason]:
    match element:
        case str():
            return _RULES[rule], Reason(policy=policy.name, version=policy.version, rule=rule, reason=element)
        case {"rule": str(name), "reason": str(reason)}:
            return _RULES[rule], Reason(policy=policy.name, version=policy.version, rule=name, reason=reason)
        case _:
            shape = f"an element of `{rule}` is neither text nor an object with `rule` and `reason`"
            return Outcome.DENY, _engine_reason(policy, shape)


def _engine_reason(policy: PolicyPlan, what: str) -> Reason:
    return Reason(
        policy=policy.name,
        version=policy.version,
        rule=ENGINE_RULE,
        reason=f"The policy could not be evaluated, which denies: {what}",
    )


def _summary(error: str) -> str:
    message = _MESSAGE.search(error)
    position = _POSITION.search(error)
    text = message.group(1).strip() if message else error
    return f"{text} (line {position.group(1)}, column {position.group(2)})" if position else text


def _invalid(error: str) -> InvalidPolicy:
    position = _POSITION.search(error)
    if position is None:
        return InvalidPolicy(_summary(error))
    return InvalidPolicy(_summary(error), line=int(position.group(1)), column=int(position.group(2)))
