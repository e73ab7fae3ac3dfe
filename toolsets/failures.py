"""How a tool says that it couldn't do what was asked.

Errors:
    ToolFailed
      └── Retryable    the same call may succeed in a moment
"""


class ToolFailed(Exception):
    """A tool couldn't do what was asked. `str()` is what the model reads, so it says what to do differently."""


class Retryable(ToolFailed):
    """A failure that may pass: a rate limit, a connection that broke.

    A tool whose effect is `read` is then called again, a few times and within its time, before the model reads of it.
    `after_seconds` is how long to wait at least, where the other side has said so. Other tools fail at once: whoever
    changes the world decides alone whether that may be done twice.
    """

    def __init__(self, message: str, *, after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.after_seconds = after_seconds
