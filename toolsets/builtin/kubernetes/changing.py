"""Tools that change a cluster."""

from typing import Annotated, Any

from pydantic import Field

from toolsets import ToolFailed
from toolsets.builtin.kubernetes.connecting import connected
from toolsets.builtin.kubernetes.kinds import find
from toolsets.builtin.kubernetes.looking import Context, KindName, Namespace, Version
from toolsets.builtin.kubernetes.manifests import objects
from toolsets.builtin.kubernetes.places import located
from toolsets.builtin.kubernetes.reading import trimmed
from toolsets.builtin.kubernetes.rollouts import ROLLED_OUT, earlier_template, progress
from toolsets.builtin.kubernetes.toolset import kubernetes

FIELD_MANAGER = "agent-control-plane"
RESTARTED_FOR = "agent-control-plane/restarted-for"

_APPLY = "application/apply-patch+yaml"
_JSON_PATCH = "application/json-patch+json"
_MERGE_PATCH = "application/merge-patch+json"


@kubernetes.tool(effect="write", idempotent=True)
async def apply(
    context: Context,
    manifest: Annotated[str, Field(description="YAML or JSON; one object or several.")],
    namespace: Annotated[str | None, Field(description="For objects that name none.")] = None,
    dry_run: Annotated[bool, Field(description="Only tell what would come of it.")] = False,  # noqa: FBT002
    force: Annotated[  # noqa: FBT002
        bool, Field(description="Take over fields that somebody else set. Only if you were told to.")
    ] = False,
) -> dict[str, object]:
    """Create things, or change them to be as the manifest says (server-side apply). What it doesn't say stays."""
    context.settings.check_writable()
    query: Any = [("fieldManager", FIELD_MANAGER), ("fieldValidation", "Strict"), ("force", str(force).lower())]
    query += [("dryRun", "All")] if dry_run else []
    done: dict[str, Any] = {}
    async with connected(context) as cluster:
        wanted = []
        # All are looked at before any is sent: half a manifest is seldom what was meant.
        for thing in objects(manifest):
            kind = await find(cluster, context.settings, thing["kind"], version=thing["apiVersion"])
            metadata = thing["metadata"]
            names = located(
                context.settings, kind, name=metadata["name"], namespace=metadata.get("namespace") or namespace
            )
            placed = {"namespace": names["namespace"]} if "namespace" in names else {}
            wanted.append((kind, names, thing | {"kind": kind.name, "metadata": metadata | placed}))
        for kind, names, thing in wanted:
            path = kind.path(namespace=kind.namespaced, named=True)
            try:
                applied = await cluster.request("PATCH", path, names, query=query, body=thing, content_type=_APPLY)
            except ToolFailed as failure:
                before = f" Applied before it: {', '.join(done)}." if done else ""
                raise ToolFailed(f"{kind.name} {names['name']} was not applied. {failure}{before}") from failure
            done[f"{kind.name} {'/'.join(names.values())}"] = trimmed(
                applied, show_secrets=context.settings.show_secrets
            )["metadata"].get("generation", 1)
    return {"would_apply" if dry_run else "applied": [*done]}


@kubernetes.tool(effect="write", idempotent=True)
async def scale(
    context: Context,
    kind: KindName,
    name: str,
    replicas: Annotated[int, Field(ge=1, le=1_000)],
    namespace: Namespace = None,
) -> dict[str, object]:
    """Set the number of replicas of a workload, at least one. To stop it, use kubernetes_scale_to_zero."""
    return await _scaled(context, kind, name=name, namespace=namespace, replicas=replicas)


@kubernetes.tool(effect="destroy", idempotent=True)
async def scale_to_zero(context: Context, kind: KindName, name: str, namespace: Namespace = None) -> dict[str, object]:
    """Stop a workload by taking all of its replicas away. It stays defined."""
    return await _scaled(context, kind, name=name, namespace=namespace, replicas=0)


@kubernetes.tool(effect="write", idempotent=True)
async def rollout_restart(
    context: Context, kind: KindName, name: str, namespace: Namespace = None
) -> dict[str, object]:
    """Replace the pods of a Deployment, StatefulSet or DaemonSet by new ones, one after the other."""
    context.settings.check_writable()
    async with connected(context) as cluster:
        found = await find(cluster, context.settings, kind)
        if found.name not in ROLLED_OUT:
            raise ToolFailed(f"A {found.name} can't be restarted. Use a Deployment, StatefulSet or DaemonSet.")
        names = located(context.settings, found, name=name, namespace=namespace)
        # The same call made again asks for what is there already.
        annotations = {RESTARTED_FOR: context.idempotency_key}
        workload = await cluster.request(
            "PATCH",
            found.path(namespace=True, named=True),
            names,
            query=[("fieldManager", FIELD_MANAGER)],
            body={"spec": {"template": {"metadata": {"annotations": annotations}}}},
            content_type=_MERGE_PATCH,
        )
    return {"kind": found.name, **names, "rollout": progress(workload)}


@kubernetes.tool(effect="destroy")
async def rollout_undo(
    context: Context,
    name: str,
    namespace: Namespace = None,
    revision: Annotated[int | None, Field(ge=1, description="None: the one before the current.")] = None,
) -> dict[str, object]:
    """Take a Deployment back to an earlier revision. kubernetes_rollout_status tells the current one."""
    context.settings.check_writable()
    async with connected(context) as cluster:
        found = await find(cluster, context.settings, "Deployment")
        names = located(context.settings, found, name=name, namespace=namespace)
        path = found.path(namespace=True, named=True)
        deployment = await cluster.request("GET", path, names)
        labels = deployment["spec"]["selector"].get("matchLabels") or {}
        sets = await cluster.request(
            "GET",
            "/apis/apps/v1/namespaces/{namespace}/replicasets",
            {"namespace": names["namespace"]},
            query=[("labelSelector", ",".join(f"{label}={value}" for label, value in labels.items())), ("limit", 500)],
        )
        template = earlier_template(deployment, sets.get("items") or [], revision=revision)
        unchanged = {"op": "test", "path": "/metadata/generation", "value": deployment["metadata"]["generation"]}
        workload = await cluster.request(
            "PATCH",
            path,
            names,
            query=[("fieldManager", FIELD_MANAGER)],
            body=[unchanged, {"op": "replace", "path": "/spec/template", "value": template}],
            content_type=_JSON_PATCH,
        )
    return {"kind": found.name, **names, "rollout": progress(workload)}


@kubernetes.tool(effect="destroy")
async def delete(
    context: Context,
    kind: KindName,
    name: str,
    namespace: Namespace = None,
    api_version: Version = None,
    dry_run: Annotated[bool, Field(description="Only tell whether it could be done.")] = False,  # noqa: FBT002
) -> dict[str, object]:
    """Delete one thing, and with it what it owns. It can't be brought back."""
    context.settings.check_writable()
    async with connected(context) as cluster:
        found = await find(cluster, context.settings, kind, version=api_version)
        names = located(context.settings, found, name=name, namespace=namespace)
        body = {"propagationPolicy": "Background", **({"dryRun": ["All"]} if dry_run else {})}
        await cluster.request("DELETE", found.path(namespace=found.namespaced, named=True), names, body=body)
    return {"kind": found.name, **names, "would_delete" if dry_run else "deleted": True}


async def _scaled(context: Context, kind: str, *, name: str, namespace: str | None, replicas: int) -> dict[str, object]:
    context.settings.check_writable()
    async with connected(context) as cluster:
        found = await find(cluster, context.settings, kind)
        names = located(context.settings, found, name=name, namespace=namespace)
        await cluster.request(
            "PATCH",
            found.path(namespace=found.namespaced, named=True, subresource="scale"),
            names,
            query=[("fieldManager", FIELD_MANAGER)],
            body={"spec": {"replicas": replicas}},
            content_type=_MERGE_PATCH,
        )
    return {"kind": found.name, **names, "replicas": replicas}
