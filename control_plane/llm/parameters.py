"""Parameters that OpenAI's own models differ in: LiteLLM knows which takes what."""

from collections.abc import Mapping
from typing import Any

from control_plane.llm.dialects import CHAT_COMPLETIONS, Dialect
from control_plane.llm.loading import loaded
from control_plane.llm.targets import Target

_DIFFERING = frozenset(
    {"temperature", "top_p", "max_tokens", "presence_penalty", "frequency_penalty", "logprobs", "top_logprobs", "stop"}
)


def fitting(request: Mapping[str, Any], dialect: Dialect, target: Target) -> Mapping[str, Any]:
    """The request as the model takes it: reasoning models refuse a temperature and have another limit of tokens.

    What a model doesn't take is left out, as everywhere in the gateway.
    """
    differing = {name: request[name] for name in _DIFFERING & request.keys()}
    if target.kind != "openai" or dialect is not CHAT_COMPLETIONS or not differing:
        return request
    mapped: dict[str, Any] = loaded().utils.get_optional_params(
        model=target.model, custom_llm_provider="openai", drop_params=True, **differing
    )
    rest = {name: value for name, value in request.items() if name not in differing}
    return rest | {name: value for name, value in mapped.items() if name not in {"extra_body", "stream"}}
