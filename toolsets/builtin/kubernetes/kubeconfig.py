"""Where a cluster is and how to speak to it: from a kubeconfig in a secret, or from the pod that we are in.

A kubeconfig comes from outside, and its usual reader runs commands and opens files that it names. Here it may hold data
only: what would run, open or relax something is refused, never passed over.
"""

import base64
import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from toolsets import ToolFailed

_IN_CLUSTER = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_MAX_CHARACTERS = 1_000_000

_CLUSTER = frozenset({"server", "certificate-authority-data", "tls-server-name", "extensions", "disable-compression"})
_USER = frozenset({"token", "client-certificate-data", "client-key-data", "username", "password", "extensions"})
_INSTEAD = {
    "exec": "It would run a command. Put in the token of a service account.",
    "auth-provider": "It would run a command. Put in the token of a service account.",
    "certificate-authority": "It names a file. Use certificate-authority-data.",
    "client-certificate": "It names a file. Use client-certificate-data.",
    "client-key": "It names a file. Use client-key-data.",
    "tokenFile": "It names a file. Use token.",
    "insecure-skip-tls-verify": "Anybody could answer for the cluster. Use certificate-authority-data.",
}


@dataclass(frozen=True, slots=True)
class Access:
    """A cluster and the credentials for it. Certificates and keys are PEM."""

    server: str
    authority: str | None = field(default=None, repr=False)
    server_name: str | None = None
    token: str | None = field(default=None, repr=False)
    certificate: str | None = field(default=None, repr=False)
    key: str | None = field(default=None, repr=False)
    username: str | None = None
    password: str | None = field(default=None, repr=False)


def parse(text: str, *, context: str | None) -> Access:
    """The access that a kubeconfig describes. Raises `ToolFailed` saying what is wrong with it."""
    document = _document(text)
    name = context or document.get("current-context")
    if not isinstance(name, str):
        raise ToolFailed("The kubeconfig has no current-context. Name one with the setting `context`.")
    chosen = _entry(document, "contexts", "context", name)
    cluster = _entry(document, "clusters", "cluster", chosen.get("cluster"))
    user = _entry(document, "users", "user", chosen.get("user")) if chosen.get("user") else {}
    _refuse(cluster, _CLUSTER, f"The cluster of the context {name}")
    _refuse(user, _USER, f"The user of the context {name}")
    return Access(
        server=_server(_text(cluster, "server")),
        authority=_decoded(cluster, "certificate-authority-data"),
        server_name=_text(cluster, "tls-server-name"),
        token=_text(user, "token"),
        certificate=_decoded(user, "client-certificate-data"),
        key=_decoded(user, "client-key-data"),
        username=_text(user, "username"),
        password=_text(user, "password"),
    )


def in_cluster() -> Access:
    """The access of the pod that this process runs in. Raises `ToolFailed` outside of a cluster."""
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    try:
        token = (_IN_CLUSTER / "token").read_text()
        authority = (_IN_CLUSTER / "ca.crt").read_text()
    except OSError as error:
        raise ToolFailed(
            "This worker runs in no pod with a service account, so the setting `in_cluster` can't be used."
        ) from error
    if not host:
        raise ToolFailed("KUBERNETES_SERVICE_HOST isn't set for this worker. Pass it on, or use a kubeconfig.")
    bracketed = f"[{host}]" if ":" in host else host
    return Access(server=f"https://{bracketed}:{port}", authority=authority, token=token.strip())


def _document(text: str) -> dict[str, Any]:
    try:
        document = yaml.safe_load(text) if len(text) <= _MAX_CHARACTERS else None
    except (yaml.YAMLError, RecursionError):
        document = None
    if not isinstance(document, dict) or document.get("kind", "Config") != "Config":
        # Not the text of the error: it quotes the secret.
        raise ToolFailed("The kubeconfig can't be read: it must be a YAML document of the kind Config.")
    return document


def _entry(document: Mapping[str, Any], section: str, field_name: str, name: Any) -> dict[str, Any]:
    entries = document.get(section)
    found = [
        entry.get(field_name)
        for entry in (entries if isinstance(entries, list) else [])
        if isinstance(entry, dict) and entry.get("name") == name
    ]
    if len(found) != 1 or not isinstance(found[0], dict):
        raise ToolFailed(f"The kubeconfig must have exactly one {field_name} {name!r} under {section}.")
    return found[0]


def _refuse(entry: Mapping[str, Any], known: frozenset[str], where: str) -> None:
    for name in entry:
        if name not in known:
            raise ToolFailed(
                f"{where} in the kubeconfig has `{name}`, which isn't accepted. {_INSTEAD.get(name, 'Take it out.')}"
            )


def _text(entry: Mapping[str, Any], name: str) -> str | None:
    value = entry.get(name)
    if value is not None and not isinstance(value, str):
        raise ToolFailed(f"`{name}` in the kubeconfig must be text.")
    return value or None


def _decoded(entry: Mapping[str, Any], name: str) -> str | None:
    value = _text(entry, name)
    try:
        return base64.b64decode(value, validate=True).decode() if value else None
    except ValueError as error:
        raise ToolFailed(f"`{name}` in the kubeconfig must be base64 of a PEM text.") from error


def _server(url: str | None) -> str:
    try:
        parts = urlsplit(url or "")
        usable = bool(parts.hostname) and parts.port != 0 and parts.username is None and not parts.query
    except ValueError:
        usable = False
    if not usable or not (parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(parts.hostname or ""))):
        raise ToolFailed("`server` in the kubeconfig must be an https:// address (http:// on this machine only).")
    return (url or "").rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
