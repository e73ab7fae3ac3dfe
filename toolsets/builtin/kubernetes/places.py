"""Where a thing is, within the bounds of the settings."""

from toolsets import ToolFailed
from toolsets.builtin.kubernetes.kinds import Kind
from toolsets.builtin.kubernetes.settings import KubernetesSettings


def located(settings: KubernetesSettings, kind: Kind, *, name: str, namespace: str | None) -> dict[str, str]:
    """The names in the path of one thing. Raises `ToolFailed` if it is out of bounds or the namespace is missing."""
    names = namespace_for(settings, kind, namespace)
    if kind.namespaced and not names:
        raise ToolFailed(f"A {kind.name} is in a namespace. Say in which.")
    return names | {"name": name}


def namespace_for(settings: KubernetesSettings, kind: Kind, namespace: str | None) -> dict[str, str]:
    """The namespace in a path: the one that was named, or the only one that may be. Empty for all of them, or none."""
    if not kind.namespaced:
        return {}
    if not namespace and settings.namespaces is not None:
        if len(settings.namespaces) != 1:
            raise ToolFailed(f"Name a namespace. Allowed are: {', '.join(sorted(settings.namespaces)) or 'none'}.")
        namespace = next(iter(settings.namespaces))
    if not namespace:
        return {}
    settings.check_namespace(namespace)
    return {"namespace": namespace}
