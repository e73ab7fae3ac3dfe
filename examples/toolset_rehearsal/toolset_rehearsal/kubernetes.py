"""Deployments of the make-believe platform."""

from toolset_rehearsal.platform import App, Environment, opened
from toolsets import ToolContext, ToolFailed, Toolset, hookimpl
from toolsets.builtin.kubernetes.settings import KubernetesSettings

kubernetes = Toolset(
    "kubernetes", description="Rehearsal: deployments of a make-believe cluster.", settings=KubernetesSettings
)

Context = ToolContext[KubernetesSettings]


@kubernetes.tool(effect="read")
def list_deployments(context: Context, environment: Environment) -> dict[str, int]:
    """List what is deployed in an environment: the revision of each app."""
    context.settings.check_namespace(environment)
    with opened(context) as platform:
        deployments: dict[str, int] = platform["deployments"][environment]
        return deployments


@kubernetes.tool(effect="write")
def deploy(context: Context, app: App, environment: Environment) -> dict[str, object]:
    """Deploy the next revision of an app to an environment."""
    context.settings.check_writable()
    context.settings.check_namespace(environment)
    with opened(context) as platform:
        deployments = platform["deployments"][environment]
        deployments[app] = deployments.get(app, 0) + 1
        return {"app": app, "environment": environment, "revision": deployments[app]}


@kubernetes.tool(effect="destroy")
def delete(context: Context, app: App, environment: Environment) -> dict[str, object]:
    """Delete an app from an environment."""
    context.settings.check_writable()
    context.settings.check_namespace(environment)
    with opened(context) as platform:
        if app not in platform["deployments"][environment]:
            raise ToolFailed(f"{app} is not deployed in {environment}.")
        del platform["deployments"][environment][app]
        return {"app": app, "environment": environment, "deleted": True}


@hookimpl
def register_toolset() -> Toolset:
    """The toolset `kubernetes`."""
    return kubernetes
