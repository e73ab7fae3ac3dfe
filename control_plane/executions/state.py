"""The life of an execution: which status may follow which."""

from enum import StrEnum


class Status(StrEnum):
    """Where an execution stands."""

    PENDING = "pending"
    SCHEDULED = "scheduled"
    RUNNING = "running"
    WAITING_FOR_APPROVAL = "waiting_for_approval"
    WAITING_FOR_INPUT = "waiting_for_input"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def terminal(self) -> bool:
        """Whether nothing can follow."""
        return not TRANSITIONS[self]


_ENDS = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED})
_RESTS = frozenset({Status.WAITING_FOR_APPROVAL, Status.WAITING_FOR_INPUT, Status.PAUSED})

TRANSITIONS: dict[Status, frozenset[Status]] = {
    # A worker may claim before we have noted that the orchestrator accepted the run.
    Status.PENDING: frozenset({Status.SCHEDULED, Status.RUNNING, Status.FAILED, Status.CANCELLED}),
    # Back to pending when the run was lost before anybody claimed: nothing has happened, so it is started anew.
    Status.SCHEDULED: frozenset({Status.PENDING, Status.RUNNING, Status.FAILED, Status.CANCELLED}),
    Status.RUNNING: _RESTS | _ENDS,
    Status.WAITING_FOR_APPROVAL: frozenset({Status.SCHEDULED, Status.RUNNING, Status.FAILED, Status.CANCELLED}),
    Status.WAITING_FOR_INPUT: frozenset({Status.SCHEDULED, Status.RUNNING}) | _ENDS,
    Status.PAUSED: frozenset({Status.SCHEDULED, Status.RUNNING, Status.FAILED, Status.CANCELLED}),
    Status.COMPLETED: frozenset(),
    Status.FAILED: frozenset(),
    Status.CANCELLED: frozenset(),
}


class IllegalTransition(Exception):
    """A bug: something tried to move an execution where it can't go."""


def check(before: Status, after: Status) -> None:
    """Raise `IllegalTransition` unless `after` may follow `before`."""
    if after not in TRANSITIONS[before]:
        raise IllegalTransition(f"an execution can't go from {before} to {after}")
