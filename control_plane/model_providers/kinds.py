"""The kinds of providers that an organization may have, and what each has to be told."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_WORD = re.compile(r"[A-Za-z0-9_-]{1,100}")


@dataclass(frozen=True, slots=True)
class Kind:
    """What goes with a provider of this kind. `parameters` are names and what their values must look like.

    `base_url` is `required`, `optional` or `refused`: where LiteLLM makes the connection itself, we couldn't check it.
    """

    base_url: str = "refused"
    keyless: bool = False
    parameters: Mapping[str, re.Pattern[str]] = field(default_factory=dict)
    required: frozenset[str] = frozenset()


KINDS: Mapping[str, Kind] = {
    "openai": Kind(base_url="optional", parameters={"organization": _WORD, "project": _WORD}),
    "azure": Kind(base_url="required"),
    "openai_compatible": Kind(base_url="required", keyless=True),
    "ollama": Kind(base_url="required", keyless=True),
    "anthropic": Kind(base_url="optional"),
    # Both become parts of host names.
    "bedrock": Kind(
        parameters={
            "aws_region_name": re.compile(r"[a-z]{2}(-[a-z]{2,12}){1,3}-\d"),
            "aws_access_key_id": re.compile(r"[A-Z0-9]{16,128}"),
        },
        required=frozenset({"aws_region_name", "aws_access_key_id"}),
    ),
    "vertex_ai": Kind(
        parameters={
            "vertex_project": re.compile(r"[a-z][a-z0-9-]{4,28}[a-z0-9]"),
            "vertex_location": re.compile(r"global|[a-z]{2,20}-[a-z]{2,20}\d{1,2}"),
        },
        required=frozenset({"vertex_project", "vertex_location"}),
    ),
} | {
    name: Kind()
    for name in (
        *("cerebras", "cohere_chat", "deepseek", "fireworks_ai", "gemini", "groq", "mistral", "openrouter"),
        *("perplexity", "together_ai", "xai"),
    )
}
"""By LiteLLM's name. `openai_compatible` is whatever else speaks OpenAI's chat completions."""


def fault(
    kind: str, *, base_url: str | None, secret: str | None, parameters: Mapping[str, str]
) -> tuple[str, str] | None:
    """What is wrong with a provider: the field, and why. None if nothing is."""
    known = KINDS[kind]
    if known.base_url == "required" and base_url is None:
        return "base_url", f"A provider of kind {kind} needs its base URL, such as https://models.example.com/v1."
    if known.base_url == "refused" and base_url is not None:
        return "base_url", f"A provider of kind {kind} is where it is. For another address use openai_compatible."
    if secret is None and not known.keyless:
        return "secret", f"A provider of kind {kind} needs a key: name the secret of the organization that holds it."
    if missing := sorted(known.required - parameters.keys()):
        return "parameters", f"A provider of kind {kind} needs {', '.join(missing)}."
    for name, value in parameters.items():
        pattern = known.parameters.get(name)
        if pattern is None:
            takes = ", ".join(known.parameters) or "none"
            return "parameters", f"A provider of kind {kind} has no parameter {name}. It takes: {takes}."
        if not pattern.fullmatch(value):
            return f"parameters.{name}", f"must look like {pattern.pattern}"
    return None
