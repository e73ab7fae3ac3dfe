"""What the status of a workload says about its rollout."""

from collections.abc import Mapping, Sequence
from typing import Any

from toolsets import ToolFailed

ROLLED_OUT = frozenset({"Deployment", "StatefulSet", "DaemonSet"})

_REVISION = "deployment.kubernetes.io/revision"
_HASH = "pod-template-hash"


def progress(workload: Mapping[str, Any]) -> dict[str, Any]:
    """How far the rollout of a Deployment, StatefulSet or DaemonSet is, by the rules of kubectl rollout status."""
    status, spec = workload.get("status") or {}, workload.get("spec") or {}
    daemons = workload.get("kind") == "DaemonSet"
    wanted = status.get("desiredNumberScheduled", 0) if daemons else spec.get("replicas", 1)
    updated = status.get("updatedNumberScheduled" if daemons else "updatedReplicas", 0)
    available = status.get("numberAvailable" if daemons else "availableReplicas", 0)
    running = wanted if daemons else status.get("replicas", 0)
    seen = status.get("observedGeneration", 0) >= workload["metadata"].get("generation", 0)
    stuck = [
        condition.get("message", "")
        for condition in status.get("conditions") or []
        if condition.get("reason") == "ProgressDeadlineExceeded"
    ]
    return {
        "complete": seen and updated >= wanted and running <= updated and available >= wanted,
        "wanted": wanted,
        "updated": updated,
        "available": available,
        **({"revision": revision} if (revision := _revision(workload)) else {}),
        **({"stuck": stuck[0]} if stuck else {}),
    }


def earlier_template(deployment: Mapping[str, Any], sets: Sequence[Mapping[str, Any]], *, revision: int | None) -> Any:
    """The pod template of an earlier revision; None: the one before the current. `sets` may be of others too."""
    current = _revision(deployment)
    mine = {_revision(each): each for each in sets if _owns(deployment, each)}
    numbers = sorted(number for number in mine if number and number != current)
    wanted = revision if revision is not None else (numbers[-1] if numbers else 0)
    if wanted not in mine or wanted == current:
        known = ", ".join(map(str, numbers)) or "none"
        raise ToolFailed(f"There is no earlier revision {wanted or ''} to go back to. There are: {known}.")
    template = mine[wanted]["spec"]["template"]
    metadata = template.get("metadata") or {}
    labels = {name: value for name, value in (metadata.get("labels") or {}).items() if name != _HASH}
    return template | {"metadata": metadata | {"labels": labels}}


def _owns(deployment: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    owners = other["metadata"].get("ownerReferences") or []
    return any(owner.get("uid") == deployment["metadata"]["uid"] for owner in owners)


def _revision(thing: Mapping[str, Any]) -> int:
    try:
        return int((thing["metadata"].get("annotations") or {}).get(_REVISION, 0))
    except ValueError:
        return 0
