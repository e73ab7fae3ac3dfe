"""What a worker tells the process that is to carry out an execution: all that it ever learns from it."""

from uuid import UUID

from control_plane.wire.executions import Claim
from control_plane.wire.model import WireModel


class Assignment(WireModel):
    """One claimed execution, and the flow run as which it runs.

    Prefect's API is entered with the execution token. `claimed_at` is when the claim was asked for, on the clock
    `time.monotonic`, which all processes of a machine share.
    """

    claim: Claim
    claimed_at: float
    control_plane_url: str
    flow_run_id: UUID
    flow_id: UUID
    prefect_api_url: str


def flow_run_name(agent: str, execution_id: UUID) -> str:
    """How people find the flow run of an execution in the Prefect UI."""
    return f"{agent}-{str(execution_id)[:8]}"
