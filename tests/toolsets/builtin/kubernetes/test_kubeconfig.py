import json
from typing import Any

import pytest

from tests.toolsets.builtin.kubernetes.conftest import kubeconfig
from toolsets import ToolFailed
from toolsets.builtin.kubernetes.kubeconfig import in_cluster, parse

pytestmark = pytest.mark.unit

SERVER = "https://cluster.example.com:6443"


def changed(section: str, **values: Any) -> str:
    config = kubeconfig(SERVER)
    config[section][0][section.removesuffix("s")].update(values)
    return json.dumps(config)


@pytest.mark.parametrize(
    ("section", "values"),
    [
        ("users", {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "touch"}}),
        ("users", {"auth-provider": {"name": "gcp", "config": {"cmd-path": "touch"}}}),
        ("users", {"client-certificate": "/etc/passwd"}),
        ("users", {"client-key": "/etc/passwd"}),
        ("users", {"tokenFile": "/etc/passwd"}),
        ("users", {"as": "system:masters"}),
        ("clusters", {"certificate-authority": "/etc/passwd"}),
        ("clusters", {"insecure-skip-tls-verify": True}),
        ("clusters", {"proxy-url": "http://proxy.example.com"}),
    ],
)
def test_what_would_run_open_or_relax_something_is_refused(section: str, values: dict[str, Any]) -> None:
    [name] = values

    with pytest.raises(ToolFailed, match=f"has `{name}`, which isn't accepted"):
        parse(changed(section, **values), context=None)


@pytest.mark.parametrize(
    "server", ["http://cluster.example.com", "file:///etc/passwd", "", "https://user:pass@cluster.example.com", 7]
)
def test_only_a_plain_address_with_tls_is_a_server(server: Any) -> None:
    with pytest.raises(ToolFailed, match="`server` in the kubeconfig must be"):
        parse(changed("clusters", server=server), context=None)


def test_the_context_of_the_settings_is_used() -> None:
    config = kubeconfig(SERVER)
    config["contexts"].append({"name": "other", "context": {"cluster": "there", "user": "agent"}})
    config["clusters"].append({"name": "there", "cluster": {"server": "https://there.example.com"}})

    assert parse(json.dumps(config), context="other").server == "https://there.example.com"
    assert parse(json.dumps(config), context=None).server == SERVER


@pytest.mark.parametrize("text", ["", "[1]", "{a: b", "kind: Pod", "!!python/object/apply:os.getcwd []"])
def test_what_is_no_kubeconfig_is_told_without_quoting_it(text: str) -> None:
    with pytest.raises(ToolFailed) as caught:
        parse(text, context=None)

    assert "kubeconfig" in str(caught.value)
    assert len(str(caught.value)) < 120


def test_a_certificate_that_is_no_base64_is_told_by_its_name_alone() -> None:
    with pytest.raises(ToolFailed, match="`client-key-data` in the kubeconfig must be base64"):
        parse(changed("users", **{"client-key-data": "§§§"}), context=None)


def test_outside_of_a_cluster_nothing_is_in_it() -> None:
    with pytest.raises(ToolFailed, match="runs in no pod with a service account"):
        in_cluster()
