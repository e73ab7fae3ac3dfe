"""A Kubernetes cluster, through its own API: as much of it as the settings let an agent have."""

from toolsets import Toolset, hookimpl
from toolsets.builtin.kubernetes import changing, looking
from toolsets.builtin.kubernetes.toolset import kubernetes

__all__ = ["changing", "kubernetes", "looking", "register_toolset"]


@hookimpl
def register_toolset() -> Toolset:
    """The toolset `kubernetes`."""
    return kubernetes
