"""The smallest flow there is, for Prefect's stock worker to run: it says when its first line ran."""

import time

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed


@flow(name="first-line", persist_result=False)
async def first_line() -> State[None]:
    """Completes with the time as its message, so that nothing but Prefect is needed to learn it."""
    return Completed(message=repr(time.time()))
