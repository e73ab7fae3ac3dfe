"""Manifests as models write them: YAML or JSON, one object or several."""

import json
from collections.abc import Iterator
from datetime import date
from typing import Any

import yaml

from toolsets import ToolFailed

MAX_CHARACTERS = 200_000
MAX_OBJECTS = 50


def objects(manifest: str) -> list[dict[str, Any]]:
    """The objects of a manifest, those of a List among them. Raises `ToolFailed` saying what is wrong."""
    if len(manifest) > MAX_CHARACTERS:
        raise ToolFailed(f"The manifest has more than {MAX_CHARACTERS} characters. Apply it in pieces.")
    try:
        documents = [_as_json(document) for document in yaml.load_all(manifest, Loader=_Loader) if document is not None]
    except (yaml.YAMLError, TypeError, ValueError, RecursionError) as error:
        raise ToolFailed(f"The manifest is neither YAML nor JSON: {str(error)[:500]}") from error
    found = [thing for document in documents for thing in _single(document)]
    if not found or len(found) > MAX_OBJECTS:
        raise ToolFailed(f"The manifest has {len(found)} objects. It must have at least 1 and at most {MAX_OBJECTS}.")
    return [_checked(thing) for thing in found]


class _Loader(yaml.SafeLoader):
    """Knows no aliases: with them, a few lines stand for gigabytes."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases (*name) can't be used; write it out")
        return super().compose_node(parent, index)


def _as_json(document: Any) -> Any:
    """As kubectl would send it: keys are texts, and so are dates. What has no place in JSON raises `TypeError`."""

    def written(value: Any) -> str:
        if isinstance(value, date):
            return value.isoformat()
        raise TypeError(f"{type(value).__name__} has no place in a manifest")

    return json.loads(json.dumps(document, default=written, allow_nan=False))


def _single(document: Any) -> Iterator[Any]:
    if isinstance(document, dict) and document.get("kind") == "List" and isinstance(document.get("items"), list):
        yield from document["items"]
    else:
        yield document


def _checked(thing: Any) -> dict[str, Any]:
    metadata = thing.get("metadata") if isinstance(thing, dict) else None
    if not isinstance(metadata, dict) or not all(
        isinstance(text, str) and text for text in (thing.get("apiVersion"), thing.get("kind"), metadata.get("name"))
    ):
        raise ToolFailed("Each object of the manifest needs apiVersion, kind and metadata.name.")
    if not isinstance(metadata.get("namespace", ""), str):
        raise ToolFailed("metadata.namespace must be text.")
    return {name: value for name, value in thing.items() if name != "status"} | {
        "metadata": {name: value for name, value in metadata.items() if name != "managedFields"}
    }
