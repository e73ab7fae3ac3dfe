"""Where an error came from, for a log that must not learn what it was about."""

import traceback


def origin(error: BaseException) -> str:
    """The types and stack frames of an error and of what caused it, but no text of theirs.

    The text of an exception may hold arguments, results, prompts or tokens.
    """
    lines: list[str] = []
    seen: set[int] = set()
    _describe(error, lines, seen)
    return "\n".join(lines)


def _describe(error: BaseException, lines: list[str], seen: set[int]) -> None:
    seen.add(id(error))
    lines.append(f"{type(error).__module__}.{type(error).__qualname__}")
    lines += [
        f"  {frame.filename}:{frame.lineno} in {frame.name}"
        for frame in traceback.StackSummary.extract(traceback.walk_tb(error.__traceback__), lookup_lines=False)
    ]
    causes = [*getattr(error, "exceptions", ()), error.__cause__ or error.__context__]
    for cause in causes:
        if isinstance(cause, BaseException) and id(cause) not in seen:
            lines.append("caused by")
            _describe(cause, lines, seen)
