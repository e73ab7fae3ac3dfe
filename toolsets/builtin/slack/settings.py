"""What whoever runs an environment decides about `slack`."""

from collections.abc import Sequence
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, IPvAnyNetwork, field_validator

from toolsets import ToolFailed
from toolsets.builtin.base_urls import BaseUrl


class SlackSettings(BaseModel):
    """Which channels, with whose rights. What the token's scopes allow comes on top."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    token: str = Field(
        default="slack_token", min_length=1, description="Name of the secret that holds the bot's token."
    )
    user_token: str | None = Field(
        default=None,
        min_length=1,
        description="Name of the secret with a user's token, without which nobody can search.",
    )
    channels: frozenset[str] | None = Field(
        default=None,
        description="The only ones that may be read or written: ids such as C012AB3CD, or names, which members can"
        " change; null: all that the bot is in.",
    )
    read_only: bool = Field(default=False, description="Whether nothing may be written.")
    allow_broadcasts: bool = Field(
        default=False, description="Whether @channel, @here, @everyone and groups may be used."
    )
    base_url: BaseUrl = Field(default="https://slack.com/api", description="Of GovSlack: https://slack-gov.com/api.")
    allowed_networks: tuple[IPvAnyNetwork, ...] = Field(
        default=(), description="Networks the server may be in although they aren't public."
    )

    @field_validator("channels")
    @classmethod
    def _bare(cls, channels: frozenset[str] | None) -> frozenset[str] | None:
        return None if channels is None else frozenset(channel.removeprefix("#") for channel in channels)

    def secrets(self) -> tuple[str, ...]:
        """Which secrets the tools ask for."""
        return (self.token, self.user_token) if self.user_token else (self.token,)

    def hosts(self) -> Sequence[str]:
        """Where the tools connect to."""
        return (urlsplit(self.base_url).netloc,)

    def permits(self, channel_id: str, name: str | None) -> bool:
        """Whether a channel is within bounds."""
        return self.channels is None or channel_id in self.channels or (name is not None and name in self.channels)

    def check_message(self, text: str) -> None:
        """Raise `ToolFailed` for a message that may not be sent."""
        if self.read_only:
            raise ToolFailed("Slack is read-only here. Say what you would have written instead of sending it.")
        if not self.allow_broadcasts and any(
            mark in text for mark in ("<!channel", "<!here", "<!everyone", "<!subteam")
        ):
            raise ToolFailed("Messages to whole channels or groups may not be sent here. Leave the mention out.")
