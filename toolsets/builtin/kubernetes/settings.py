"""What whoever runs an environment decides about `kubernetes`."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from toolsets import ToolFailed

Namespace = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]


class KubernetesSettings(BaseModel):
    """Which cluster, and what of it may be seen and touched. The cluster's own RBAC comes on top."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kubeconfig: str = Field(default="kubeconfig", min_length=1, description="Name of the secret that holds it.")
    in_cluster: bool = Field(
        default=False, description="Act as the service account of the worker's pod; no kubeconfig is used."
    )
    context: str | None = Field(default=None, description="Of the kubeconfig; null: its current one.")
    namespaces: frozenset[Namespace] | None = Field(
        default=None, description="The only ones that may be seen or touched; null: all."
    )
    kinds: frozenset[str] | None = Field(
        default=None, description="The only kinds that may be seen or touched, such as Deployment; null: all."
    )
    cluster_scoped: bool = Field(
        default=False, description="Whether kinds outside of namespaces, such as Node, may be seen and touched."
    )
    read_only: bool = Field(default=False, description="Whether nothing may be changed.")
    show_secrets: bool = Field(default=False, description="Whether the model may read the values of Secrets.")
    allow_loopback: bool = Field(
        default=False,
        description="Whether the API server may be on the worker's own machine, as with kind or minikube.",
    )

    def secrets(self) -> tuple[str, ...]:
        """Which secrets the tools ask for."""
        return () if self.in_cluster else (self.kubeconfig,)

    def check_writable(self) -> None:
        """Raise `ToolFailed` where nothing may be changed."""
        if self.read_only:
            raise ToolFailed("This cluster is read-only here. Say what should be changed instead of doing it.")

    def check_kind(self, kind: str) -> None:
        """Raise `ToolFailed` for a kind that is out of bounds."""
        if self.kinds is not None and kind.lower() not in {allowed.lower() for allowed in self.kinds}:
            raise ToolFailed(f"The kind {kind} is out of bounds here. Allowed are: {_named(self.kinds)}.")

    def check_namespace(self, namespace: str) -> None:
        """Raise `ToolFailed` for a namespace that is out of bounds."""
        if self.namespaces is not None and namespace not in self.namespaces:
            raise ToolFailed(
                f"The namespace {namespace} is out of bounds here. Allowed are: {_named(self.namespaces)}."
            )

    def check_cluster_scoped(self, kind: str) -> None:
        """Raise `ToolFailed` where what is in no namespace is out of bounds."""
        if not self.cluster_scoped:
            raise ToolFailed(f"{kind} is in no namespace, and such kinds are out of bounds here.")


def _named(names: frozenset[str]) -> str:
    return ", ".join(sorted(names)) or "none"
