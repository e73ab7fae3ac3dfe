"""Messages about one execution: claiming it, keeping its lease, reporting its events, finishing it."""

from enum import StrEnum
from uuid import UUID, uuid4

from pydantic import AwareDatetime, Field, JsonValue

from control_plane.wire.model import WireModel
from control_plane.wire.plan import Plan

MAX_EVENTS_A_BATCH = 500
"""Keeps the numbers and times of a report small beside `MAX_BATCH_BYTES`."""

MAX_BATCH_BYTES = 512 << 10
"""Of the data of the events in one report, and of response and output in a `Finish`, as JSON in UTF-8."""

LEAST_BODY_BYTES = 640 << 10
"""Every server accepts bodies of this size: a full report and everything around it."""

RENEWALS_A_LEASE = 6
"""How many times a lease is renewed in its length: four may get lost, and a cancellation is noticed that soon."""


MOST_OFFERS = 100
"""Executions that a worker is told of at once."""


class EventType(StrEnum):
    """The types of events an execution's stream can carry."""

    STATUS = "status"
    MESSAGE = "message"
    MESSAGE_CHUNK = "message_chunk"
    THINKING_CHUNK = "thinking_chunk"
    TOOL_STARTED = "tool_started"
    TOOL_PROGRESS = "tool_progress"
    TOOL_COMPLETED = "tool_completed"
    DECISION = "decision"
    USAGE = "usage"
    ERROR = "error"
    DONE = "done"


class FinalStatus(StrEnum):
    """How a worker may say that an execution ended."""

    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Offer(WireModel):
    """An execution that waits for a worker, and the flow run that was made for it.

    `in_place_of` waits for it, so that it can run in the place of that one.
    """

    execution_id: UUID
    flow_run_id: UUID
    in_place_of: UUID | None = None


class Offers(WireModel):
    """What there is to claim. Others may have been told of it too: the claim decides."""

    offers: list[Offer]


class ClaimRequest(WireModel):
    """Who claims.

    `claim_id` belongs to one process: repeating a request whose answer was lost is harmless, while a second process
    can't take an execution that the first one holds. `with_plan` asks for the plan too, which saves asking for it.
    """

    claim_id: UUID = Field(default_factory=uuid4)
    worker: str = Field(max_length=200)
    with_plan: bool = False


class Claim(WireModel):
    """The right to carry out one execution.

    `execution_token` opens this execution only. `fence` grows with every claim; the server refuses what carries an
    older one. The lease must be renewed before `lease_expires_at`; it holds for `lease_seconds` from when the server
    answered, for a worker whose clock differs.
    """

    execution_id: UUID
    execution_token: str = Field(repr=False)
    fence: int
    lease_expires_at: AwareDatetime
    renew_every_seconds: float
    lease_seconds: float | None = None
    plan: Plan | None = None

    @property
    def lease_length_seconds(self) -> float:
        """How long the lease holds, also where the server doesn't say it."""
        return self.lease_seconds or self.renew_every_seconds * RENEWALS_A_LEASE


CLAIM_VARIABLE = "CONTROL_PLANE_CLAIM"
"""Where the process that carries out a claim finds its `Handover`. It takes it away before anything foreign runs."""


class Handover(WireModel):
    """A claim on its way from the worker that made it to the process that carries it out.

    `claimed_at` is when it was asked for, on the clock `time.monotonic`, which all processes of a machine share.
    """

    claim: Claim
    claimed_at: float


class LeaseRenewal(WireModel):
    """The answer to a renewal: how long the lease holds now, and whether somebody asked to cancel."""

    lease_expires_at: AwareDatetime
    cancel_requested: bool
    lease_seconds: float | None = None


class ReportedEvent(WireModel):
    """One event as the worker saw it. `sequence` counts from 1 within one claim and makes repeats harmless."""

    sequence: int = Field(ge=1)
    type: EventType
    data: dict[str, JsonValue]
    occurred_at: AwareDatetime


class EventReport(WireModel):
    """A batch of events in order, without gaps."""

    fence: int
    events: list[ReportedEvent] = Field(min_length=1, max_length=MAX_EVENTS_A_BATCH)


class EventReceipt(WireModel):
    """Up to which sequence number the server holds the events of this claim."""

    sequence: int


class Usage(WireModel):
    """Tokens an execution used, over all of its model turns, and what they cost. Only the server knows the cost."""

    input_tokens: int = 0
    output_tokens: int = 0
    model_turns: int = 0
    tool_calls: int = 0
    cost_usd: float | None = None


class Finish(WireModel):
    """How the execution ended. `error` is for people: what happened and what to do. `code` is for programs.

    `output` is the answer as a JSON object, where the plan asks for one.
    """

    fence: int
    status: FinalStatus
    response: str | None = None
    output: dict[str, JsonValue] | None = None
    error: str | None = None
    code: str | None = None
    usage: Usage = Usage()
