import copy
import json
from typing import Any

import pytest

from tests.toolsets.builtin.kubernetes.conftest import Cluster, deployment, pod
from toolsets import ToolFailed

pytestmark = pytest.mark.integration

WEB = ("apps/v1", "deployments", "shop", "web")
TWO = """
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {color: blue}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec: {replicas: 2}
"""


async def test_a_manifest_makes_what_it_says(cluster: Cluster) -> None:
    applied = await cluster.call("apply", manifest=TWO, namespace="shop")

    assert applied == {"applied": ["ConfigMap shop/settings", "Deployment shop/web"]}
    assert cluster.server.things["v1", "configmaps", "shop", "settings"]["data"] == {"color": "blue"}
    assert cluster.server.things[WEB]["spec"] == {"replicas": 2}


async def test_what_yaml_makes_of_words_is_sent_as_kubectl_would(cluster: Cluster) -> None:
    manifest = "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {day: 2026-11-24, 7: seven}}"

    await cluster.call("apply", manifest=manifest, namespace="shop")

    assert cluster.server.things["v1", "configmaps", "shop", "a"]["data"] == {"day": "2026-11-24", "7": "seven"}


async def test_the_same_manifest_twice_is_the_same_as_once(cluster: Cluster) -> None:
    await cluster.call("apply", manifest=TWO, namespace="shop")
    await cluster.call("apply", manifest=TWO, namespace="shop")

    assert len(cluster.server.things) == 2


async def test_a_rehearsed_manifest_changes_nothing(cluster: Cluster) -> None:
    told = await cluster.call("apply", manifest=TWO, namespace="shop", dry_run=True)

    assert told == {"would_apply": ["ConfigMap shop/settings", "Deployment shop/web"]}
    assert cluster.server.things == {}


async def test_fields_of_somebody_else_are_taken_over_only_by_force(cluster: Cluster) -> None:
    cluster.server.add(deployment("web", replicas=2), namespace="shop")
    manifest = json.dumps(
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {"replicas": 5}}
    )

    with pytest.raises(ToolFailed, match='conflict with "kubectl-create"'):
        await cluster.call("apply", manifest=manifest, namespace="shop")
    before = cluster.server.things[WEB]["spec"]["replicas"]
    await cluster.call("apply", manifest=manifest, namespace="shop", force=True)

    assert (before, cluster.server.things[WEB]["spec"]["replicas"]) == (2, 5)


async def test_a_field_that_kubernetes_does_not_know_is_told(cluster: Cluster) -> None:
    with pytest.raises(ToolFailed, match='unknown field "spek"'):
        await cluster.call(
            "apply", manifest="{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, spek: 1}", namespace="shop"
        )


@pytest.mark.parametrize(
    ("manifest", "reason"),
    [
        ("", "has 0 objects"),
        ("a: [", "neither YAML nor JSON"),
        ("- 1", "needs apiVersion, kind and metadata.name"),
        ("{apiVersion: v1, kind: Pod, metadata: {generateName: a}}", "needs apiVersion, kind and metadata.name"),
        ("a: &a [1]\nb: *a", "aliases"),
        ("---\n{apiVersion: v1, kind: Pod, metadata: {name: a}}\n" * 51, "has 51 objects"),
        ("!!python/object/apply:os.getcwd []", "neither YAML nor JSON"),
        ("{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {a: !!binary aGk=}}", "no place in a manifest"),
        ("{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {a: .nan}}", "neither YAML nor JSON"),
    ],
)
async def test_a_manifest_that_can_not_be_meant_is_refused(cluster: Cluster, manifest: str, reason: str) -> None:
    with pytest.raises(ToolFailed, match=reason):
        await cluster.call("apply", manifest=manifest, namespace="shop")


async def test_nothing_is_applied_if_one_of_several_is_out_of_bounds(cluster: Cluster) -> None:
    with pytest.raises(ToolFailed, match="kind Deployment is out of bounds"):
        await cluster.call("apply", manifest=TWO, namespace="shop", settings={"kinds": ["ConfigMap"]})

    assert cluster.server.things == {}


async def test_a_list_hides_no_namespace_from_the_bounds(cluster: Cluster) -> None:
    inner = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "kube-system"}}
    manifest = json.dumps({"apiVersion": "v1", "kind": "List", "items": [inner]})

    with pytest.raises(ToolFailed, match="namespace kube-system is out of bounds"):
        await cluster.call("apply", manifest=manifest, namespace="shop", settings={"namespaces": ["shop"]})


async def test_what_was_applied_before_a_failure_is_told(cluster: Cluster) -> None:
    cluster.server.add(deployment("web", replicas=7), namespace="shop")

    with pytest.raises(ToolFailed, match=r"Deployment web was not applied.*Applied before it: ConfigMap shop/settings"):
        await cluster.call("apply", manifest=TWO, namespace="shop")


async def test_a_workload_is_scaled(cluster: Cluster) -> None:
    cluster.server.add(deployment("web"), namespace="shop")

    scaled = await cluster.call("scale", kind="Deployment", name="web", namespace="shop", replicas=3)

    assert scaled == {"kind": "Deployment", "namespace": "shop", "name": "web", "replicas": 3}
    assert cluster.server.things[WEB]["spec"]["replicas"] == 3


async def test_scaling_to_nothing_is_a_tool_of_its_own(cluster: Cluster) -> None:
    cluster.server.add(deployment("web"), namespace="shop")

    with pytest.raises(ToolFailed, match="replicas: Input should be greater than or equal to 1"):
        await cluster.call("scale", kind="Deployment", name="web", namespace="shop", replicas=0)
    await cluster.call("scale_to_zero", kind="Deployment", name="web", namespace="shop")

    assert cluster.server.things[WEB]["spec"]["replicas"] == 0


async def test_the_same_restart_asked_for_again_restarts_nothing_more(cluster: Cluster) -> None:
    cluster.server.add(deployment("web"), namespace="shop")

    await cluster.call("rollout_restart", kind="Deployment", name="web", namespace="shop")
    first = copy.deepcopy(cluster.server.things[WEB]["spec"])
    await cluster.call("rollout_restart", kind="Deployment", name="web", namespace="shop")

    assert first["template"]["metadata"]["annotations"] == {"agent-control-plane/restarted-for": "call-1"}
    assert cluster.server.things[WEB]["spec"] == first


def _revisions(cluster: Cluster) -> None:
    """`web` in revision 3, and the sets of its revisions 1, 2 and 3 besides that of another."""
    annotations = {"deployment.kubernetes.io/revision": "3"}
    web = deployment("web", image="shop:3") | {"metadata": {"name": "web", "annotations": annotations}}
    uid = cluster.server.add(web, namespace="shop")["metadata"]["uid"]
    for number, owner in (("1", uid), ("2", uid), ("3", uid), ("9", "another")):
        template: dict[str, Any] = deployment("web", image=f"shop:{number}")["spec"]["template"]
        template["metadata"]["labels"]["pod-template-hash"] = f"hash-{number}"
        metadata = {
            "name": f"web-{number}",
            "labels": {"app": "web"},
            "annotations": {"deployment.kubernetes.io/revision": number},
            "ownerReferences": [{"uid": owner}],
        }
        one = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": metadata, "spec": {"template": template}}
        cluster.server.add(one, namespace="shop")


@pytest.mark.parametrize(("revision", "image"), [(None, "shop:2"), (1, "shop:1")])
async def test_a_rollout_is_taken_back(cluster: Cluster, revision: int | None, image: str) -> None:
    _revisions(cluster)

    await cluster.call("rollout_undo", name="web", namespace="shop", revision=revision)

    template = cluster.server.things[WEB]["spec"]["template"]
    assert template["spec"]["containers"][0]["image"] == image
    assert template["metadata"]["labels"] == {"app": "web"}


@pytest.mark.parametrize("revision", [3, 4, 9])
async def test_a_revision_that_is_not_an_earlier_one_is_refused(cluster: Cluster, revision: int) -> None:
    _revisions(cluster)

    with pytest.raises(ToolFailed, match=f"no earlier revision {revision} to go back to. There are: 1, 2"):
        await cluster.call("rollout_undo", name="web", namespace="shop", revision=revision)


async def test_one_thing_is_deleted(cluster: Cluster) -> None:
    cluster.server.add(pod("web-1"), namespace="shop")
    cluster.server.add(pod("web-2"), namespace="shop")

    deleted = await cluster.call("delete", kind="Pod", name="web-1", namespace="shop")

    assert deleted == {"kind": "Pod", "namespace": "shop", "name": "web-1", "deleted": True}
    assert [name for _, _, _, name in cluster.server.things] == ["web-2"]


async def test_a_rehearsed_deletion_deletes_nothing(cluster: Cluster) -> None:
    cluster.server.add(pod("web-1"), namespace="shop")

    await cluster.call("delete", kind="Pod", name="web-1", namespace="shop", dry_run=True)

    assert len(cluster.server.things) == 1


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("apply", {"manifest": TWO, "namespace": "shop"}),
        ("scale", {"kind": "Deployment", "name": "web", "namespace": "shop", "replicas": 3}),
        ("scale_to_zero", {"kind": "Deployment", "name": "web", "namespace": "shop"}),
        ("rollout_restart", {"kind": "Deployment", "name": "web", "namespace": "shop"}),
        ("rollout_undo", {"name": "web", "namespace": "shop"}),
        ("delete", {"kind": "Deployment", "name": "web", "namespace": "shop"}),
    ],
)
@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"read_only": True}, "read-only here"),
        ({"namespaces": ["web"]}, "namespace shop is out of bounds"),
        ({"kinds": ["Pod"]}, "is out of bounds here. Allowed are: Pod"),
    ],
)
async def test_settings_hold_for_every_change(
    cluster: Cluster, tool: str, arguments: dict[str, Any], settings: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ToolFailed, match=reason):
        await cluster.call(tool, settings=settings, **arguments)

    assert {method for method, _ in cluster.server.requests} <= {"GET"}
