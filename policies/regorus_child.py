"""The engine's own process: reads requests from standard input, answers on standard output, knows nothing else.

Started as a file with an empty environment, never imported by the supervisor. It imports as little as it can, because
it is started anew whenever a policy has killed it. Frames are a 4-byte big-endian length and that many bytes of JSON.
"""

from __future__ import annotations

import json
import resource
import signal
import struct
import sys
from collections import OrderedDict

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing itself would cost a third of the start
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any, BinaryIO

    Cache = OrderedDict[str, tuple[Any, set[str]]]

MEMORY_BYTES = 1 << 30
CACHED_MODULES = 256
RULES = ("deny", "require_approval")
OFF = {"http.send": 1, "opa.runtime": 0}


def confine() -> None:
    """Give up what evaluating a policy doesn't need: memory without bound, core dumps, writing files."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    # The supervisor kills us at the deadline; if it is gone, this alarm does.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)


def compiled(regorus: ModuleType, source: str, config: dict[str, Any]) -> Any:
    """An engine that holds this one module, so that two modules of the same package can't merge."""
    engine = regorus.Engine()
    engine.set_gather_prints(True)
    for name, arguments in OFF.items():
        engine.add_extension(name, arguments, refuse(name))
    engine.add_policy("policy.rego", source)
    engine.add_data({"config": config})
    return engine


def refuse(name: str) -> Callable[..., Any]:
    """A builtin that reaches outside is an error, not undefined: undefined would let a deny rule pass in silence."""

    def refused(*_arguments: Any) -> Any:
        raise PermissionError(f"{name} is switched off")

    return refused


def evaluate(engine: Any, absent: set[str], document: str) -> dict[str, Any]:
    """What the module's package says: each rule's value, or its absence, which is kept in `absent`."""
    engine.set_input_json(document)
    package = engine.get_packages()[0]
    answer = {}
    for rule in RULES:
        if rule in absent:
            continue
        path = f"{package}.{rule}"
        try:
            value = engine.eval_rule_as_json(path)
        except RuntimeError as error:
            if not str(error).startswith("not a valid rule path"):
                raise
            # A rule such as `deny.why := …` has no value of its own, but it is there and meant to be heard.
            found = json.loads(engine.eval_query_as_json(path)).get("result")
            if not found:
                absent.add(rule)
                continue
            answer[rule] = found[0]["expressions"][0]["value"]
        else:
            answer[rule] = json.loads(value) if value is not None else None
    engine.take_prints()
    return answer


def answer(regorus: ModuleType, cache: Cache, request: dict[str, Any]) -> list[dict[str, Any]]:
    """One answer for each module of the request: `{"value": …}`, `{"error": …}`, or `{"forgotten": true}`."""
    results: list[dict[str, Any]] = []
    for module in request["modules"]:
        key = module["key"]
        if key not in cache and "source" not in module:
            results.append({"forgotten": True})
            continue
        try:
            if key not in cache:
                cache[key] = compiled(regorus, module["source"], module["config"]), set()
                while len(cache) > CACHED_MODULES:
                    cache.popitem(last=False)
            cache.move_to_end(key)
            results.append({"value": evaluate(*cache[key], request["input"])})
        except Exception as error:  # noqa: BLE001 - whatever it is, the supervisor turns it into a deny
            cache.pop(key, None)
            results.append({"error": str(error).split("\n\nStack backtrace:")[0].strip() or type(error).__name__})
    return results


def read_exactly(stream: BinaryIO, size: int) -> bytes | None:
    """That many bytes, or None at the end of the stream."""
    data = stream.read(size)
    return data if len(data) == size else None


def write(stream: BinaryIO, value: list[dict[str, Any]]) -> None:
    """One frame."""
    body = json.dumps(value).encode()
    stream.write(struct.pack(">I", len(body)) + body)
    stream.flush()


def main() -> None:
    """Say that we are ready with an empty list, then serve until standard input closes."""
    sys.path.insert(0, sys.argv[1])
    limit_seconds = float(sys.argv[2])
    confine()
    import regorus  # noqa: PLC0415 - the limits must hold before foreign code runs

    cache: Cache = OrderedDict()
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    write(answers, [])
    while (header := read_exactly(requests, 4)) is not None:
        body = read_exactly(requests, struct.unpack(">I", header)[0])
        if body is None:
            return
        signal.setitimer(signal.ITIMER_REAL, limit_seconds)
        results = answer(regorus, cache, json.loads(body))
        signal.setitimer(signal.ITIMER_REAL, 0)
        write(answers, results)


if __name__ == "__main__":
    main()
