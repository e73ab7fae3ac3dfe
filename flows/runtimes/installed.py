"""Which runtimes there are: entry points of installed packages, loaded when an agent needs one."""

from importlib.metadata import EntryPoint, entry_points

from flows.runtimes.protocol import RunFailed, Runtime

ENTRY_POINT_GROUP = "control_plane.runtimes"


def known() -> dict[str, EntryPoint]:
    """The runtimes that installed packages bring, by agent type. Whether one can be loaded is another question."""
    found = entry_points(group=ENTRY_POINT_GROUP)
    return {entry.name: entry for entry in sorted(found, key=lambda entry: entry.name)}


def load(agent_type: str) -> Runtime:
    """The runtime for an agent type. Raises `RunFailed` naming those that are installed.

    Loads it, which is foreign code and may take its time.
    """
    found = known()
    if agent_type not in found:
        raise RunFailed(
            f"This worker has no runtime for agents of type {agent_type!r}. Installed are:"
            f" {', '.join(found) or 'none'}.",
            code="runtime_not_found",
        )
    try:
        runtime: Runtime = found[agent_type].load()()
    except ModuleNotFoundError as error:
        raise RunFailed(
            f"This worker can't run agents of type {agent_type!r}: the module {error.name} is missing."
            f"{_advice(found[agent_type])} Install it on the worker and restart it.",
            code="runtime_not_installed",
        ) from error
    except (Exception, SystemExit) as error:
        raise RunFailed(
            f"The runtime for agents of type {agent_type!r} is installed on this worker but broken:"
            f" {type(error).__name__}: {error}",
            code="runtime_broken",
        ) from error
    return runtime


def _advice(entry: EntryPoint) -> str:
    """What brings the missing module: the extra of the same name, for our own runtimes."""
    if entry.dist is None or entry.name not in {extra.replace("-", "_") for extra in _extras(entry)}:
        return ""
    return f" It comes with {entry.dist.name}[{entry.name.replace('_', '-')}]."


def _extras(entry: EntryPoint) -> list[str]:
    return (entry.dist.metadata.get_all("Provides-Extra") or []) if entry.dist else []
