"""Messages about what an execution leaves behind."""

from uuid import UUID

from control_plane.wire.model import WireModel

MOST_BYTES = 256 << 20
"""No server keeps a larger file, so none is sent."""


class KeptArtifact(WireModel):
    """Under which id people find the file."""

    id: UUID
