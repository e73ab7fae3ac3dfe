"""REST bodies of the audit log."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field


class AuditEntryRead(BaseModel):
    """One change, release of a secret, or sign-in or sign-out of a browser: who, what, from where, by which request."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    created_at: datetime
    organization_id: UUID
    actor: str = Field(description="Kind and name of the credential or member.", examples=["api_key:ci"])
    credential_id: UUID | None = Field(description="Null for members, and for the operator, whose key isn't stored.")
    member_id: UUID | None = Field(description="Who it was, of members whose names may be alike. Null for keys.")
    action: str = Field(
        description="The permission that was used, or `secrets:release`, `auth:sign-in`, `auth:sign-out`.",
        examples=["agents:write"],
    )
    method: str
    route: str = Field(
        description="The route's template, below `/api/v1` except for `/auth`.", examples=["/agents/{agent_id}"]
    )
    resource_type: str = Field(
        description="The collection: of what was changed, released, or signed in with.", examples=["agents"]
    )
    resource_id: str | None = Field(description="Id, name of a secret, or URL of an identity provider.")
    request_id: str = Field(description="As the answer's `X-Request-Id` and the server's log have it.")
    client_address: str | None = Field(description="Of the connection, so of a proxy where one stands between.")
    status: int = Field(description="The HTTP status that was answered.")
