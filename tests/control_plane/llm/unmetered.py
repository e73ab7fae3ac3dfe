"""Stands where metering does, in tests of the gateway that have no database."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

from control_plane.auth.principals import ExecutionPrincipal
from control_plane.llm.meter import Meter


class Unmetered:
    """Lets every call pass, and keeps its meter."""

    def __init__(self) -> None:
        self.meters: list[Meter] = []

    @asynccontextmanager
    async def call(
        self,
        caller: ExecutionPrincipal,  # noqa: ARG002 - the shape of the port
        *,
        model: str,
        request: Any,
        **_: Any,
    ) -> AsyncIterator[Meter]:
        """As `Metering.call`."""
        meter = Meter(
            id=uuid4(),
            model=model,
            provider=model.split("/", 1)[0],
            price=None,
            input_bound=1_000,
            granted_output=1_000,
            output_limit=None,
            streamed=bool(request.get("stream")),
        )
        self.meters.append(meter)
        try:
            yield meter
        except BaseException as error:
            meter.failed(error)
            raise
