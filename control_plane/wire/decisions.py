"""What a policy decided, and why."""

from enum import StrEnum

from control_plane.wire.model import WireModel


class Outcome(StrEnum):
    """The three answers a policy can give, from the strongest to the weakest."""

    DENY = "deny"
    REQUIRE_APPROVAL = "require_approval"
    ALLOW = "allow"


class Reason(WireModel):
    """One rule that spoke: the policy and version it stands in, its name, and what it says to people."""

    policy: str
    version: int
    rule: str
    reason: str


class Decision(WireModel):
    """The joint answer of all policies that apply. Any deny denies, else any require_approval waits, else allow.

    `input_hash` is the SHA-256 of the input document, in hex; empty if the engine never saw it.
    """

    outcome: Outcome
    reasons: tuple[Reason, ...] = ()
    duration_ms: float = 0.0
    input_hash: str = ""

    @property
    def allowed(self) -> bool:
        """Whether the act may go on now."""
        return self.outcome is Outcome.ALLOW

    def explanation(self) -> str:
        """The reasons in one line, each with the policy, version and rule it came from."""
        return "; ".join(f"{r.reason} (policy {r.policy} v{r.version}, rule {r.rule})" for r in self.reasons)
