"""The connections to providers, which all calls share."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from control_plane.llm.gateway import Directory, Gateway
from control_plane.llm.metering import Metering
from control_plane.llm.passing_on import LIMITS, TIMEOUT
from control_plane.llm.public_addresses import PublicTransport


@asynccontextmanager
async def opened(directory: Directory, metering: Metering, *, private_allowed: bool) -> AsyncIterator[Gateway]:
    """A gateway, and its connections until the end of the block.

    With `private_allowed` organizations may have providers at any address that this server reaches.
    """
    trusted = httpx.AsyncClient(timeout=TIMEOUT, limits=LIMITS)
    guarded = httpx.AsyncClient(timeout=TIMEOUT, transport=PublicTransport(limits=LIMITS), trust_env=False)
    async with trusted, guarded:
        yield Gateway(directory, metering, trusted=trusted, guarded=trusted if private_allowed else guarded)
