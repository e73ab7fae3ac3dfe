"""From what a model calls a kind to where the cluster keeps it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from toolsets import ToolFailed
from toolsets.builtin.kubernetes.settings import KubernetesSettings

if TYPE_CHECKING:
    from toolsets.builtin.kubernetes.cluster import Cluster

_DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"

_USUAL = {
    "v1": "pod service configmap secret namespace node event persistentvolumeclaim persistentvolume serviceaccount"
    " endpoints replicationcontroller resourcequota limitrange",
    "apps/v1": "deployment replicaset statefulset daemonset",
    "batch/v1": "job cronjob",
    "networking.k8s.io/v1": "ingress networkpolicy",
    "autoscaling/v2": "horizontalpodautoscaler",
    "policy/v1": "poddisruptionbudget",
    "rbac.authorization.k8s.io/v1": "role rolebinding clusterrole clusterrolebinding",
    "storage.k8s.io/v1": "storageclass",
}
_VERSIONS = {kind: version for version, kinds in _USUAL.items() for kind in kinds.split()}


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of thing in a cluster. `version` is its apiVersion, `plural` what it is called in paths."""

    name: str
    version: str
    plural: str
    namespaced: bool

    def path(self, *, namespace: bool, named: bool, subresource: str = "") -> str:
        """The path, with `{namespace}` and `{name}` in it."""
        start = f"/apis/{self.version}" if "/" in self.version else f"/api/{self.version}"
        place = "/namespaces/{namespace}" if namespace else ""
        return f"{start}{place}/{self.plural}{'/{name}' if named else ''}{f'/{subresource}' if subresource else ''}"


async def find(cluster: "Cluster", settings: KubernetesSettings, kind: str, *, version: str | None = None) -> Kind:
    """The kind that is called so, if it is within bounds. Raises `ToolFailed`."""
    wanted = kind.strip().lower()
    version = version or _VERSIONS.get(wanted) or _VERSIONS.get(wanted.removesuffix("s"))
    found = await _within(cluster, version, wanted) if version else await _anywhere(cluster, wanted)
    if found is None:
        where = f" in {version}" if version else ""
        raise ToolFailed(f"The cluster has no kind {kind}{where}. Name a kind such as Deployment, with its apiVersion.")
    settings.check_kind(found.name)
    if not found.namespaced:
        settings.check_cluster_scoped(found.name)
    return found


async def _within(cluster: "Cluster", version: str, wanted: str) -> Kind | None:
    group, _, number = version.rpartition("/")
    path, names = ("/apis/{group}/{number}", {"group": group, "number": number})
    if not group:
        path, names = "/api/{number}", {"number": number}
    listed = await cluster.request("GET", path, names)
    for resource in listed.get("resources") or []:
        if "/" not in resource["name"] and wanted in _spellings(resource):
            return Kind(resource["kind"], version, resource["name"], namespaced=bool(resource["namespaced"]))
    return None


async def _anywhere(cluster: "Cluster", wanted: str) -> Kind | None:
    """In any group, each in its preferred version. Clusters before 1.30 tell of one group at a time only."""
    for path in ("/api", "/apis"):
        listed = await cluster.request("GET", path, accept=f"{_DISCOVERY},application/json")
        for version, resource in _discovered(listed):
            if wanted in _spellings(resource):
                return Kind(
                    resource["responseKind"]["kind"],
                    version,
                    resource["resource"],
                    namespaced=resource["scope"] == "Namespaced",
                )
    return None


def _discovered(listed: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for group in listed.get("items") or []:
        name = group.get("metadata", {}).get("name", "")
        for version in (group.get("versions") or [])[:1]:
            full = f"{name}/{version['version']}" if name else version["version"]
            for resource in version.get("resources") or []:
                yield full, resource


def _spellings(resource: Mapping[str, Any]) -> set[str]:
    """All that people call a resource, in lower case."""
    names = [
        resource.get("kind") or resource.get("responseKind", {}).get("kind", ""),
        resource.get("name") or resource.get("resource", ""),
        resource.get("singularName") or resource.get("singularResource") or "",
        *(resource.get("shortNames") or []),
    ]
    return {name.lower() for name in names if name}
