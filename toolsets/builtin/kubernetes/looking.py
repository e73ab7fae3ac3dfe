"""Tools that look at a cluster."""

from collections.abc import MutableSequence
from typing import Annotated

from pydantic import Field

from toolsets import ToolContext, ToolFailed
from toolsets.builtin.kubernetes.connecting import connected
from toolsets.builtin.kubernetes.kinds import Kind, find
from toolsets.builtin.kubernetes.places import located, namespace_for
from toolsets.builtin.kubernetes.reading import events, rows, trimmed
from toolsets.builtin.kubernetes.rollouts import ROLLED_OUT, progress
from toolsets.builtin.kubernetes.settings import KubernetesSettings
from toolsets.builtin.kubernetes.toolset import kubernetes

MAX_LOG_LINES = 5_000
MAX_LOG_BYTES = 200_000

_TABLE = "application/json;as=Table;g=meta.k8s.io;v=v1,application/json"

Context = ToolContext[KubernetesSettings]
KindName = Annotated[str, Field(description="Such as Pod or Deployment.")]
Version = Annotated[
    str | None, Field(description="apiVersion such as apps/v1; only for kinds that several APIs have.", max_length=200)
]
Namespace = Annotated[str | None, Field(description="None for kinds that are in no namespace.")]
Query = MutableSequence[tuple[str, str | int]]


@kubernetes.tool(effect="read")
async def list(  # noqa: A001 - the tool is called kubernetes_list
    context: Context,
    kind: KindName,
    namespace: Annotated[str | None, Field(description="None: all namespaces.")] = None,
    api_version: Version = None,
    label_selector: Annotated[str, Field(description="Such as app=shop,tier!=cache.", max_length=1_000)] = "",
    field_selector: Annotated[str, Field(description="Such as status.phase=Failed.", max_length=1_000)] = "",
    limit: Annotated[int, Field(ge=1, le=500)] = 100,
    continue_from: Annotated[str, Field(description="What a list before gave as `continue_from`.")] = "",
) -> dict[str, object]:
    """List things of one kind, as kubectl get does: a row for each, with what is most worth knowing."""
    query: Query = [("limit", limit)]
    given = {"labelSelector": label_selector, "fieldSelector": field_selector, "continue": continue_from}
    query += [(name, value) for name, value in given.items() if value]
    async with connected(context) as cluster:
        found = await find(cluster, context.settings, kind, version=api_version)
        names = namespace_for(context.settings, found, namespace)
        path = found.path(namespace=bool(names), named=False)
        table = await cluster.request("GET", path, names, query=query, accept=_TABLE)
    metadata = table.get("metadata") or {}
    more = {"continue_from": metadata["continue"]} if metadata.get("continue") else {}
    return {"kind": found.name, "items": rows(table), **more}


@kubernetes.tool(effect="read")
async def get(
    context: Context, kind: KindName, name: str, namespace: Namespace = None, api_version: Version = None
) -> dict[str, object]:
    """Read one thing in full. The values of Secrets are hidden."""
    async with connected(context) as cluster:
        found = await find(cluster, context.settings, kind, version=api_version)
        names = located(context.settings, found, name=name, namespace=namespace)
        path = found.path(namespace=found.namespaced, named=True)
        thing = await cluster.request("GET", path, names)
    return trimmed(thing, show_secrets=context.settings.show_secrets)


@kubernetes.tool(effect="read")
async def describe(
    context: Context, kind: KindName, name: str, namespace: Namespace = None, api_version: Version = None
) -> dict[str, object]:
    """Read one thing together with its latest events, to see why it isn't as it should be."""
    async with connected(context) as cluster:
        found = await find(cluster, context.settings, kind, version=api_version)
        names = located(context.settings, found, name=name, namespace=namespace)
        path = found.path(namespace=found.namespaced, named=True)
        thing = await cluster.request("GET", path, names)
        selector = f"involvedObject.uid={thing['metadata']['uid']}"
        where = {"namespace": names.get("namespace", "default")}
        told = await cluster.request(
            "GET", "/api/v1/namespaces/{namespace}/events", where, query=[("fieldSelector", selector), ("limit", 500)]
        )
    described = {"object": trimmed(thing, show_secrets=context.settings.show_secrets), "events": events(told)}
    return described | ({"rollout": progress(thing)} if found.name in ROLLED_OUT else {})


@kubernetes.tool(effect="read", max_output=MAX_LOG_BYTES + 1_000)
async def logs(
    context: Context,
    pod: str,
    namespace: Namespace = None,
    container: Annotated[str | None, Field(description="Needed where the pod has several.")] = None,
    tail_lines: Annotated[int, Field(ge=1, le=MAX_LOG_LINES)] = 200,
    since_seconds: Annotated[int | None, Field(ge=1)] = None,
    previous: Annotated[bool, Field(description="Of the container before its last restart.")] = False,  # noqa: FBT002
) -> str:
    """Read the last lines of a pod's log. Start with few: the newest lines come last."""
    context.settings.check_kind("Pod")
    pods = Kind("Pod", "v1", "pods", namespaced=True)
    names = located(context.settings, pods, name=pod, namespace=namespace)
    query: Query = [("tailLines", tail_lines), ("limitBytes", MAX_LOG_BYTES)]
    given = {"container": container, "sinceSeconds": since_seconds, "previous": "true" if previous else None}
    query += [(key, value) for key, value in given.items() if value is not None]
    async with connected(context) as cluster:
        text = await cluster.text("GET", pods.path(namespace=True, named=True, subresource="log"), names, query=query)
    return text or "(no lines)"


@kubernetes.tool(effect="read")
async def rollout_status(context: Context, kind: KindName, name: str, namespace: Namespace = None) -> dict[str, object]:
    """Tell how far the rollout of a Deployment, StatefulSet or DaemonSet is, and whether it is complete."""
    async with connected(context) as cluster:
        found = await find(cluster, context.settings, kind)
        if found.name not in ROLLED_OUT:
            raise ToolFailed(f"A {found.name} isn't rolled out. Use a Deployment, StatefulSet or DaemonSet.")
        names = located(context.settings, found, name=name, namespace=namespace)
        thing = await cluster.request("GET", found.path(namespace=True, named=True), names)
    return progress(thing)
