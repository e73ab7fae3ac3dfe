"""What the API tells of artifacts."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field


class ArtifactRead(BaseModel):
    """A file that an execution has left behind."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    created_at: datetime
    execution_id: UUID
    name: str
    media_type: str = Field(description="By the worker's word; it is always sent as `application/octet-stream`.")
    size: int = Field(description="In bytes.")
    sha256: str = Field(description="Of the content, in hex.")
