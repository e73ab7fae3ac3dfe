"""Why a turn ended, in the words of OpenAI's chat completions."""

from flows.runtimes import model_errors
from flows.runtimes.protocol import Stop


def stop_of(finish_reason: str | None, *, refused: bool) -> Stop:
    """What a finish reason means. Raises `RunFailed` where there is none: the answer has no end."""
    if refused:
        return Stop.REFUSAL
    match finish_reason:
        case None:
            raise model_errors.cut_off()
        case "length":
            return Stop.LENGTH
        case "content_filter":
            return Stop.FILTER
        case "refusal":
            return Stop.REFUSAL
        case _:
            return Stop.END
