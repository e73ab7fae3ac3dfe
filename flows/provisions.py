"""What tools get from the control plane while they run, over the token of their execution."""

from uuid import UUID, uuid4

from control_plane.client import Refused, Unreachable, WorkerClient
from control_plane.wire.secrets import SecretRequest
from flows.delegation import Delegation
from toolsets import ToolFailed

_NOT_GIVEN = frozenset({409, 422})


class ControlPlaneProvisions:
    """See `flows.tool_services.Provisions`."""

    def __init__(self, client: WorkerClient, execution_id: UUID, *, fence: int) -> None:
        self._client = client
        self._execution_id = execution_id
        self._fence = fence

    async def secret(self, toolset: str, name: str) -> str:
        """The value, released by the control plane and noted in its audit log."""
        request = SecretRequest(fence=self._fence, toolset=toolset, name=name)
        try:
            return await self._client.secret(self._execution_id, request)
        except Refused as refusal:
            if refusal.status not in _NOT_GIVEN or refusal.code == "lease_lost":
                raise
            raise ToolFailed(f"The toolset {toolset} isn't given the secret {name} here. {refusal}") from refusal
        except Unreachable as error:
            raise ToolFailed(f"The secret {name} can't be had at the moment. {error}") from error

    async def keep(self, name: str, content: bytes, *, media_type: str) -> UUID:
        """Store the file; the request may be repeated, the file is kept once."""
        return await self._client.keep(
            self._execution_id, content, key=str(uuid4()), name=name, media_type=media_type, fence=self._fence
        )

    def agents(self, call_id: str) -> Delegation:
        """The agents that this call may ask, over the same token."""
        return Delegation(self._client, self._execution_id, fence=self._fence, call_id=call_id)
