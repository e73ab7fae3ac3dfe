"""REST bodies of the audit log."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field


class AuditEntryRead(BaseModel):
    """One change, or one release of a secret: who, what, from where, by which request."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    created_at: datetime
    organization_id: UUID
    actor: str = Field(description="Kind and name of the credential.", examples=["api_key:ci"])
    credential_id: UUID | None = Field(description="Null for the operator, whose key isn't stored.")
    action: str = Field(description="The permission that was used, or `secrets:release`.", examples=["agents:write"])
    method: str
    route: str = Field(description="The route's template below `/api/v1`.", examples=["/agents/{agent_id}"])
    resource_type: str = Field(examples=["agents"])
    resource_id: str | None = Field(description="Id, or the name of a secret.")
    request_id: str
    client_address: str | None
    status: int = Field(description="The HTTP status that was answered.")
