"""Policies and input documents that the tests of the engine are made of."""

from typing import Any

from control_plane.wire.plan import PolicyPlan
from policies.input import EXAMPLE, DecisionInput

ALLOWS = 'package allows\n\ndeny contains "never" if false\n'
DENIES = 'package denies\n\ndeny contains "always"\n'
WAITS = 'package waits\n\nrequire_approval contains "ask first"\n'
ENDLESS = """package endless

deny contains "found" if {
	some a in numbers.range(1, 100000)
	some b in numbers.range(1, 100000)
	a + b == 0
}
"""
VORACIOUS = 'package voracious\n\ndeny contains "many" if count(numbers.range(1, 1000000000)) == 0\n'
TALKATIVE = """package talkative

deny contains reason if {
	some i in numbers.range(1, 10000)
	reason := sprintf("reason %d, told in many words so that the answer is far longer than a pipe can hold: %d", [i, i])
}
"""


def policy(module: str, *, name: str = "guard", version: int = 1, **data: Any) -> PolicyPlan:
    """A policy as a plan carries it."""
    return PolicyPlan(name=name, version=version, module=module, data=data)


def call(**tool: Any) -> DecisionInput:
    """The example document with another tool call."""
    return EXAMPLE.model_copy(update={"tool": EXAMPLE.tool.model_copy(update=tool)})
