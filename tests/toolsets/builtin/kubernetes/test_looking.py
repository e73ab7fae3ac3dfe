from typing import Any

import pytest

from tests.toolsets.builtin.kubernetes.api_server import status
from tests.toolsets.builtin.kubernetes.conftest import Cluster, deployment, pod
from toolsets import Retryable, ToolFailed
from toolsets.builtin.kubernetes import kubernetes
from toolsets.testing import conforms

pytestmark = pytest.mark.integration


def test_the_toolset_keeps_the_contract() -> None:
    conforms(kubernetes)


def test_each_tool_says_what_it_does_to_the_world() -> None:
    effects = {
        tool.name.removeprefix("kubernetes_"): (tool.effect, tool.idempotent) for tool in kubernetes.tools.values()
    }

    assert effects == {
        "list": ("read", True),
        "get": ("read", True),
        "describe": ("read", True),
        "logs": ("read", True),
        "rollout_status": ("read", True),
        "apply": ("write", True),
        "scale": ("write", True),
        "rollout_restart": ("write", True),
        "scale_to_zero": ("destroy", True),
        "rollout_undo": ("destroy", False),
        "delete": ("destroy", False),
    }


async def test_a_list_has_the_columns_that_kubectl_prints(cluster: Cluster) -> None:
    cluster.server.add(pod("web-1", app="web"), namespace="shop")
    cluster.server.add(pod("web-2", app="web"), namespace="shop")
    cluster.server.add(pod("cache-1", app="cache"), namespace="shop")
    cluster.server.add(pod("web-1", app="web"), namespace="other")

    listed = await cluster.call("list", kind="pods", namespace="shop", label_selector="app=web")

    age = "2026-11-24T10:00:00Z"
    assert listed == {
        "kind": "Pod",
        "items": [
            {"namespace": "shop", "name": "web-1", "status": "Running", "age": age},
            {"namespace": "shop", "name": "web-2", "status": "Running", "age": age},
        ],
    }


async def test_a_long_list_comes_in_pages(cluster: Cluster) -> None:
    for name in ("a", "b", "c"):
        cluster.server.add(pod(name), namespace="shop")

    first = await cluster.call("list", kind="Pod", limit=2)
    second = await cluster.call("list", kind="Pod", limit=2, continue_from=first["continue_from"])

    assert [item["name"] for item in first["items"]] == ["a", "b"]
    assert [item["name"] for item in second["items"]] == ["c"]
    assert "continue_from" not in second


@pytest.mark.parametrize("kind", ["Deployment", "deployments", "deployment", "deploy"])
async def test_a_kind_goes_by_all_the_names_that_people_use(cluster: Cluster, kind: str) -> None:
    cluster.server.add(deployment("web"), namespace="shop")

    listed = await cluster.call("list", kind=kind, namespace="shop")

    assert listed["kind"] == "Deployment"
    assert [item["name"] for item in listed["items"]] == ["web"]


async def test_a_kind_that_only_this_cluster_has_is_found(cluster: Cluster) -> None:
    basket = {"apiVersion": "shop.example.com/v1", "kind": "Basket", "metadata": {"name": "mine"}}
    cluster.server.add(basket, namespace="shop")

    found = await cluster.call("get", kind="Basket", name="mine", namespace="shop")

    assert found["apiVersion"] == "shop.example.com/v1"


async def test_of_what_an_api_has_no_table_for_the_names_are_listed(cluster: Cluster) -> None:
    usage = {"apiVersion": "metrics.example.com/v1", "kind": "Usage", "metadata": {"name": "mine"}, "cpu": "1"}
    cluster.server.add(usage, namespace="shop")

    listed = await cluster.call("list", kind="Usage", namespace="shop")

    assert listed["items"] == [{"namespace": "shop", "name": "mine"}]


async def test_bookkeeping_is_left_out_of_what_is_read(cluster: Cluster) -> None:
    annotations = {"kubectl.kubernetes.io/last-applied-configuration": "{…}"}
    thing = deployment("web") | {"metadata": {"name": "web", "annotations": annotations}}
    cluster.server.add(thing, namespace="shop")

    found = await cluster.call("get", kind="Deployment", name="web", namespace="shop")

    assert {"managedFields", "annotations"}.isdisjoint(found["metadata"])
    assert found["spec"]["replicas"] == 2


SECRET = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {
        "name": "db",
        "annotations": {"kubectl.kubernetes.io/last-applied-configuration": '{"data":{"password":"aHVudGVyMg=="}}'},
    },
    "data": {"password": "aHVudGVyMg=="},
}


@pytest.mark.parametrize("tool", ["get", "describe"])
async def test_the_values_of_a_secret_are_hidden(cluster: Cluster, tool: str) -> None:
    cluster.server.add(SECRET, namespace="shop")

    found = await cluster.call(tool, kind="Secret", name="db", namespace="shop")

    assert "aHVudGVyMg==" not in str(found)
    assert "password" in str(found)


async def test_the_values_of_a_secret_are_shown_where_a_setting_allows_it(cluster: Cluster) -> None:
    cluster.server.add(SECRET, namespace="shop")

    found = await cluster.call("get", kind="Secret", name="db", namespace="shop", settings={"show_secrets": True})

    assert found["data"] == {"password": "aHVudGVyMg=="}


async def test_the_newest_lines_of_a_log_are_read(cluster: Cluster) -> None:
    cluster.server.add(pod("web-1"), namespace="shop")
    cluster.server.logs["shop", "web-1"] = "one\ntwo\nthree\n"

    assert await cluster.call("logs", pod="web-1", namespace="shop", tail_lines=2) == "two\nthree\n"


async def test_a_log_of_json_stays_as_it_is(cluster: Cluster) -> None:
    cluster.server.add(pod("web-1"), namespace="shop")
    cluster.server.logs["shop", "web-1"] = '{"level": "error"}\n'

    assert await cluster.call("logs", pod="web-1", namespace="shop") == '{"level": "error"}\n'


async def test_a_log_is_bounded_where_the_cluster_keeps_it(cluster: Cluster) -> None:
    cluster.server.add(pod("web-1"), namespace="shop")
    cluster.server.logs["shop", "web-1"] = "x" * 300_000

    text = await cluster.call("logs", pod="web-1", namespace="shop")

    assert len(text) == 200_000


async def test_what_is_described_comes_with_its_own_events(cluster: Cluster) -> None:
    thing = cluster.server.add(pod("web-1"), namespace="shop")
    event = {"apiVersion": "v1", "kind": "Event", "reason": "BackOff", "message": "restarting", "type": "Warning"}
    about = {"involvedObject": {"uid": thing["metadata"]["uid"]}, "lastTimestamp": "2026-11-24T10:05:00Z", "count": 7}
    cluster.server.add(event | about | {"metadata": {"name": "web-1.1"}}, namespace="shop")
    cluster.server.add(event | {"metadata": {"name": "web-2.1"}, "involvedObject": {"uid": "2"}}, namespace="shop")

    described = await cluster.call("describe", kind="Pod", name="web-1", namespace="shop")

    assert described["events"] == [
        {
            "time": "2026-11-24T10:05:00Z",
            "type": "Warning",
            "reason": "BackOff",
            "message": "restarting",
            "count": 7,
        }
    ]


@pytest.mark.parametrize(
    ("reported", "complete"),
    [
        ({"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}, True),
        ({"observedGeneration": 1, "replicas": 3, "updatedReplicas": 2, "availableReplicas": 3}, False),
        ({"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 1}, False),
        ({"observedGeneration": 0, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}, False),
    ],
)
async def test_a_rollout_is_complete_when_kubectl_says_so(
    cluster: Cluster, reported: dict[str, int], *, complete: bool
) -> None:
    cluster.server.add(deployment("web") | {"status": reported}, namespace="shop")

    told = await cluster.call("rollout_status", kind="Deployment", name="web", namespace="shop")

    assert told["complete"] is complete


async def test_what_is_not_there_is_told_in_the_words_of_the_cluster(cluster: Cluster) -> None:
    with pytest.raises(ToolFailed, match=r'There is no such thing\. It says: deployments\.apps "web" not found'):
        await cluster.call("get", kind="Deployment", name="web", namespace="shop")


async def test_an_unknown_kind_is_told(cluster: Cluster) -> None:
    with pytest.raises(ToolFailed, match="The cluster has no kind Wheel"):
        await cluster.call("list", kind="Wheel")


async def test_credentials_that_are_refused_are_named(cluster: Cluster) -> None:
    cluster.kubeconfig["users"][0]["user"]["token"] = "another"

    with pytest.raises(ToolFailed, match="doesn't accept the credentials of the kubeconfig"):
        await cluster.call("list", kind="Pod")


async def test_a_busy_cluster_is_asked_again_when_it_says(cluster: Cluster) -> None:
    busy = {"Retry-After": "2"}
    cluster.server.failures.append(status(429, "TooManyRequests", "please try again later", **busy))

    with pytest.raises(Retryable) as caught:
        await cluster.call("list", kind="Pod")

    assert caught.value.after_seconds == 2


async def test_a_redirect_takes_the_credentials_nowhere(cluster: Cluster) -> None:
    elsewhere = status(307, "", "", Location="/api/v1")
    cluster.server.failures.append(elsewhere)

    with pytest.raises(ToolFailed, match="redirects to somewhere else"):
        await cluster.call("list", kind="Pod")

    assert len(cluster.server.requests) == 1


@pytest.mark.parametrize("name", ["../secrets/db", "a/b", "a%2fb", "..", "a?b=c", ""])
async def test_a_name_that_would_lead_elsewhere_is_refused(cluster: Cluster, name: str) -> None:
    with pytest.raises(ToolFailed, match="can't be a name in Kubernetes"):
        await cluster.call("get", kind="Pod", name=name, namespace="shop")

    assert [path for _, path in cluster.server.requests] == ["/api/v1"]


@pytest.mark.parametrize(
    ("settings", "arguments", "reason"),
    [
        (
            {"namespaces": ["shop"]},
            {"kind": "Pod", "namespace": "kube-system"},
            "namespace kube-system is out of bounds",
        ),
        ({"namespaces": ["shop", "web"]}, {"kind": "Pod"}, "Name a namespace. Allowed are: shop, web"),
        ({"kinds": ["deployment"]}, {"kind": "Pod"}, "kind Pod is out of bounds here. Allowed are: deployment"),
        ({"kinds": ["Pod"]}, {"kind": "po"}, None),
        ({}, {"kind": "Node"}, "Node is in no namespace"),
        ({"cluster_scoped": True}, {"kind": "Node"}, None),
    ],
)
async def test_settings_say_what_can_be_seen(
    cluster: Cluster, settings: dict[str, Any], arguments: dict[str, str], reason: str | None
) -> None:
    outcome = await _outcome(cluster, settings, arguments)

    assert (reason or "items") in outcome


async def _outcome(cluster: Cluster, settings: dict[str, Any], arguments: dict[str, str]) -> str:
    try:
        return str(await cluster.call("list", settings=settings, **arguments))
    except ToolFailed as failure:
        return str(failure)


async def test_the_only_namespace_need_not_be_named(cluster: Cluster) -> None:
    cluster.server.add(pod("web-1"), namespace="shop")
    cluster.server.add(pod("dns-1"), namespace="kube-system")

    listed = await cluster.call("list", kind="Pod", settings={"namespaces": ["shop"]})

    assert [item["name"] for item in listed["items"]] == ["web-1"]


async def test_logs_count_as_the_kind_pod(cluster: Cluster) -> None:
    with pytest.raises(ToolFailed, match="kind Pod is out of bounds"):
        await cluster.call("logs", pod="web-1", namespace="shop", settings={"kinds": ["Deployment"]})


async def test_an_api_server_on_the_workers_own_machine_is_not_asked_unless_allowed(cluster: Cluster) -> None:
    with pytest.raises(ToolFailed, match="this machine; the setting allow_loopback permits that"):
        await cluster.call("list", kind="Pod", settings={"allow_loopback": False})

    assert cluster.server.requests == []
