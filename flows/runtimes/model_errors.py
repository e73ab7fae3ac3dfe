"""What to tell people when the model can't be asked, or its answer breaks off."""

from collections.abc import Iterator

import httpx
import openai

from flows.runtimes.protocol import RunFailed


def failed(message: str, *, code: str | None) -> RunFailed:
    """The LLM gateway's own words, which say what to do, with its code."""
    return RunFailed(f"The model call failed: {message or 'no reason was given'}", code=code or "model_call_failed")


def cut_off() -> RunFailed:
    """The connection broke while the model was answering."""
    return RunFailed(
        "The model's answer broke off in the middle: the connection to it was lost. No tool was called with the part"
        " that had come. Start the execution again.",
        code="model_stream_cut",
    )


def unreachable() -> RunFailed:
    """The gateway gave no answer at all."""
    return RunFailed(
        "The model call failed: the LLM gateway of the control plane didn't answer, though it was asked again and"
        " again. Start the execution again when it is back.",
        code="model_unreachable",
    )


def explained(error: BaseException) -> RunFailed | None:
    """What an exception of the OpenAI SDK, or one caused by such, means. None if it is no such thing."""
    for one in _causes(error):
        match one:
            case RunFailed():
                return one
            case openai.APIConnectionError():
                return unreachable()
            case openai.APIError():
                body = one.body if isinstance(one.body, dict) else {}
                code = body.get("code")
                return failed(str(body.get("message") or one.message), code=str(code) if code else None)
            case httpx.TransportError():
                return cut_off()
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and all that led to it. Agno raises errors from themselves, so what Python says of it is no chain."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop(0)
        if one is not None and id(one) not in seen:
            seen.add(id(one))
            yield one
            waiting += [one.__cause__, one.__context__]
