"""One execution, from claim to finish. This is the flow that Prefect runs."""

import logging
import os
import socket
from uuid import UUID

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Cancelled, Completed, Failed

from control_plane.client import ControlPlaneError, Refused, WorkerClient
from control_plane.wire.executions import CLAIM_VARIABLE, ClaimRequest, FinalStatus, Finish, Handover
from flows.lease import is_lost
from flows.origin import origin
from flows.work import Work

logger = logging.getLogger(__name__)

_LOST = "The lease was lost: another claim or an end of the execution came first."


@flow(name="agent-execution", persist_result=False, retries=0, validate_parameters=False)
async def execute_agent(execution_id: str) -> State[None]:
    """Claim the execution unless the worker has, carry it out under policy, and say how it ended.

    Prefect learns the outcome only: prompts, arguments, results and secrets go to the control plane and nowhere else.
    """
    logger.info("execution %s begins", execution_id)
    try:
        return await _execute(UUID(execution_id))
    except ControlPlaneError as error:
        logger.error("the control plane could not be told: %s", type(error).__name__)  # noqa: TRY400 - not its text
        return Failed(message="The control plane doesn't answer. The execution ends as lost.")
    except Exception as error:  # noqa: BLE001 - Prefect would store its text, which may hold anything
        logger.error("the flow failed unexpectedly\n%s", origin(error))  # noqa: TRY400 - not its text
        return Failed(message=f"The flow failed unexpectedly ({type(error).__name__}). The worker's log says where.")


def _taken(name: str) -> str:
    """A variable, which no agent or tool may find in the environment afterwards."""
    try:
        return os.environ.pop(name)
    except KeyError:
        raise RuntimeError(
            f"{name} is not set. Start the worker with CONTROL_PLANE_URL and CONTROL_PLANE_API_KEY."
        ) from None


async def _execute(execution_id: UUID) -> State[None]:
    url = _taken("CONTROL_PLANE_URL")
    if CLAIM_VARIABLE in os.environ:
        handed = Handover.model_validate_json(_taken(CLAIM_VARIABLE))
    else:
        try:
            handed = await _claim(url, _taken("CONTROL_PLANE_API_KEY"), execution_id)
        except Refused as refusal:
            if refusal.code == "execution_ended":
                return Cancelled(message="The execution had ended before this run could claim it.")
            return Failed(message=f"The control plane refused the claim: {refusal.code}")
    async with WorkerClient(url, handed.claim.execution_token) as client:
        work = Work(url, client, handed.claim)
        async with work.lease(confirmed_at=handed.claimed_at):
            finish = await work.outcome()
            if finish is None:
                return Failed(message=_LOST)
            return await _finish(client, execution_id, finish)


async def _claim(url: str, worker_key: str, execution_id: UUID) -> Handover:
    """What a worker of another type leaves to the process of the flow run."""
    async with WorkerClient(url, worker_key) as worker:
        claim = await worker.claim(execution_id, ClaimRequest(worker=socket.gethostname()))
        return Handover(claim=claim, claimed_at=worker.sent_at)


async def _finish(client: WorkerClient, execution_id: UUID, finish: Finish) -> State[None]:
    try:
        await client.finish(execution_id, finish)
    except Refused as refusal:
        if is_lost(refusal):
            return Failed(message=_LOST)
        return Failed(message=f"The control plane refused to hear the end of the execution: {refusal.code}")
    match finish.status:
        case FinalStatus.COMPLETED:
            return Completed()
        case FinalStatus.CANCELLED:
            return Cancelled(message="Cancelled on request.")
        case FinalStatus.FAILED:
            return Failed(message=f"The execution failed: {finish.code}. Its events say why.")
