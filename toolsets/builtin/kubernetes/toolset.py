"""The toolset `kubernetes`, to which `looking` and `changing` add their tools."""

from toolsets import Toolset
from toolsets.builtin.extras import needs
from toolsets.builtin.kubernetes.settings import KubernetesSettings

kubernetes = Toolset(
    "kubernetes",
    description="A Kubernetes cluster: look at what runs there, read logs, apply manifests, scale, roll out, delete.",
    settings=KubernetesSettings,
    secrets=KubernetesSettings.secrets,
)

needs(kubernetes, "kubernetes_asyncio")
