"""What of Kubernetes' objects a model gets to read."""

import copy
from collections.abc import Mapping
from typing import Any

_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
"""The whole object again, and of a Secret all that is in it."""

MAX_EVENTS = 20


def trimmed(thing: Mapping[str, Any], *, show_secrets: bool) -> dict[str, Any]:
    """An object without bookkeeping, and without the values of a Secret unless they may be shown."""
    kept = copy.deepcopy(dict(thing))
    metadata = kept.get("metadata")
    if isinstance(metadata, dict):
        for field in ("managedFields", "selfLink"):
            metadata.pop(field, None)
        annotations = metadata.get("annotations")
        if isinstance(annotations, dict):
            annotations.pop(_LAST_APPLIED, None)
            if not annotations:
                del metadata["annotations"]
    if kept.get("kind") == "Secret" and not show_secrets:
        for field in ("data", "stringData"):
            if isinstance(kept.get(field), dict):
                kept[field] = dict.fromkeys(kept[field], "(hidden)")
    return kept


def rows(table: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What `kubectl get` would print, a dictionary for each row. `table` is a meta.k8s.io/v1 Table.

    Of a list, which is all that some extensions of the API know, the names.
    """
    if table.get("kind") != "Table":
        found = [thing.get("metadata") or {} for thing in table.get("items") or []]
        return [{name: metadata[name] for name in ("namespace", "name") if name in metadata} for metadata in found]
    columns = [
        (position, column["name"].lower().replace(" ", "_"))
        for position, column in enumerate(table.get("columnDefinitions") or [])
        if column.get("priority", 0) == 0
    ]
    return [_row(row, columns) for row in table.get("rows") or []]


def _row(row: Mapping[str, Any], columns: list[tuple[int, str]]) -> dict[str, Any]:
    metadata = (row.get("object") or {}).get("metadata") or {}
    namespace = {"namespace": metadata["namespace"]} if metadata.get("namespace") else {}
    return namespace | {name: row["cells"][position] for position, name in columns}


def events(listed: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The newest events, the last one last."""

    def when(event: Mapping[str, Any]) -> str:
        metadata = event.get("metadata") or {}
        return event.get("lastTimestamp") or event.get("eventTime") or metadata.get("creationTimestamp") or ""

    newest = sorted(listed.get("items") or [], key=when)[-MAX_EVENTS:]
    return [
        {
            "time": when(event),
            "type": event.get("type"),
            "reason": event.get("reason"),
            "message": event.get("message"),
            "count": event.get("count") or 1,
        }
        for event in newest
    ]
