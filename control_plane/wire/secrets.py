"""Messages about secrets: what a tool asks for while it runs."""

from pydantic import Field

from control_plane.wire.model import WireModel


class SecretRequest(WireModel):
    """Which secret, by the name that the toolset uses. The plan says which secret of the organization that is."""

    fence: int
    toolset: str = Field(max_length=100)
    name: str = Field(max_length=100)


class ReleasedSecret(WireModel):
    """The value. It is for the tool that asked, and for nobody else to keep."""

    value: str = Field(repr=False)
