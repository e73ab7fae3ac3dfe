"""How every message of the worker protocol is made."""

from pydantic import BaseModel, ConfigDict


class WireModel(BaseModel):
    """One message. Readers ignore fields they do not know, so that a worker and a server may be one version apart."""

    # An error of validation is logged, and what was to be validated holds prompts and tokens.
    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)
