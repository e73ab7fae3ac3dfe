"""Values that every party can write down: JSON has no NaN, UTF-8 no lone surrogates, PostgreSQL no NUL."""

import math
from typing import TypeVar, cast

Json = TypeVar("Json")


def mended(value: Json) -> Json:
    """The same JSON value with NUL replaced by U+FFFD, lone surrogates by `?`, and NaN and infinities by null.

    Tools return what they find; a strange byte in it must not cost the execution its story.
    """
    if isinstance(value, str):
        return cast("Json", value.replace("\x00", "\ufffd").encode(errors="replace").decode())
    if isinstance(value, float):
        return value if math.isfinite(value) else cast("Json", None)
    if isinstance(value, list):
        return cast("Json", [mended(item) for item in value])
    if isinstance(value, dict):
        return cast("Json", {mended(key): mended(item) for key, item in value.items()})
    return value
