"""LiteLLM, set up: told not to phone home and not to log. It takes seconds to import, so the server begins early."""

import gc
import logging
import os
import threading
from contextlib import suppress
from functools import cache
from importlib import import_module
from types import ModuleType

_ACCESS_LOG = logging.getLogger("uvicorn.access")
_LOADING = threading.Lock()

_LATE = (
    "litellm.litellm_core_utils.default_encoding",
    "litellm.proxy._types",
    "litellm.proxy.common_utils.callback_utils",
    "litellm.proxy.common_utils.realtime_utils",
    "litellm.anthropic_interface.exceptions",
    "litellm.responses.litellm_completion_transformation.handler",
)
"""What LiteLLM imports in the first calls, for half a second and more, in which this server would answer nobody."""


@cache
def _load() -> ModuleType:
    # Both name a file that LiteLLM would fetch: the one at its import, the other at the first call of a Claude model.
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    os.environ["LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS"] = "True"
    os.environ["LITELLM_TELEMETRY"] = "False"
    import litellm  # noqa: PLC0415 - takes seconds; see above

    from control_plane.llm import scripted_provider  # noqa: PLC0415 - imports litellm too

    litellm.telemetry = False
    litellm.suppress_debug_info = True
    litellm.drop_params = True
    litellm.turn_off_message_logging = True
    # What speaks Anthropic's dialect to an OpenAI model asks for chat completions, which every such provider has.
    litellm.use_chat_completions_url_for_anthropic_messages = True
    # The OpenAI SDK, which LiteLLM calls, writes whole requests into its debug log.
    for name in ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy", "openai"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    scripted_provider.register()
    for name in _LATE:
        with suppress(ImportError):
            import_module(name)
    # It looks for credentials in each line of the access log, where `access_log` leaves none, with a dozen patterns.
    for added in [one for one in _ACCESS_LOG.filters if type(one).__module__.startswith("litellm.")]:
        _ACCESS_LOG.removeFilter(added)
    # It brings 300,000 objects that stay. A full collection would look at them all, for a sixth of a second or more.
    gc.collect()
    gc.freeze()
    module: ModuleType = litellm
    return module


def loaded() -> ModuleType:
    """LiteLLM, set up. The first call takes seconds."""
    with _LOADING:
        return _load()


def warm_up() -> None:
    """Begin to load LiteLLM in the background."""
    threading.Thread(target=loaded, name="litellm warm-up", daemon=True).start()
