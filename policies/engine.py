"""The seam behind which an engine decides: regorus today, others later."""

from collections.abc import Sequence
from typing import Protocol

from control_plane.wire.decisions import Decision
from control_plane.wire.plan import PolicyPlan
from policies.input import DecisionInput


class InvalidPolicy(Exception):
    """A module that can't be used. `line` and `column` count from 1; `str()` says what is wrong."""

    def __init__(self, message: str, *, line: int = 1, column: int = 1) -> None:
        super().__init__(message)
        self.line = line
        self.column = column


class PolicyEngine(Protocol):
    """Evaluates Rego modules. Whatever goes wrong inside is a deny, never an exception and never an allow."""

    async def decide(self, policies: Sequence[PolicyPlan], document: DecisionInput) -> Decision:
        """The joint answer of all `policies`: any deny denies, else any require_approval waits, else allow.

        No policies means that none applies, which is allow. A policy whose module is missing or broken denies.
        """

    async def validate(self, module: str) -> None:
        """Compile a module and try it on the example input. Raises `InvalidPolicy`."""

    async def aclose(self) -> None:
        """Stop the engine and leave nothing behind."""
