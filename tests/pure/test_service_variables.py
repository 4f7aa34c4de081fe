from __future__ import annotations

import pytest

from virtual_kubelet.pure.service_variables import service_namespaces, service_variables


def pod(namespace="apps", **spec):
    return {"metadata": {"namespace": namespace, "name": "p"}, "spec": spec}


def service(name, ip, *ports, namespace="apps"):
    return {
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"clusterIP": ip, "ports": list(ports)},
    }


MASTER = service(
    "kubernetes", "10.0.0.1", {"name": "https", "port": 443, "protocol": "TCP"}, namespace="default"
)
MASTER_VARIABLES = {
    "KUBERNETES_SERVICE_HOST": "10.0.0.1",
    "KUBERNETES_SERVICE_PORT": "443",
    "KUBERNETES_SERVICE_PORT_HTTPS": "443",
    "KUBERNETES_PORT": "tcp://10.0.0.1:443",
    "KUBERNETES_PORT_443_TCP": "tcp://10.0.0.1:443",
    "KUBERNETES_PORT_443_TCP_PROTO": "tcp",
    "KUBERNETES_PORT_443_TCP_PORT": "443",
    "KUBERNETES_PORT_443_TCP_ADDR": "10.0.0.1",
}


def test_the_variables_of_a_service():
    assert service_variables(pod(), [MASTER]) == MASTER_VARIABLES


def test_several_ports_and_protocols():
    dns = service(
        "my-dns",
        "10.0.0.2",
        {"name": "dns-udp", "port": 53, "protocol": "UDP"},
        {"name": "dns", "port": 53},
        {"port": 54, "protocol": ""},
    )
    assert service_variables(pod(), [dns]) == {
        "MY_DNS_SERVICE_HOST": "10.0.0.2",
        "MY_DNS_SERVICE_PORT": "53",
        "MY_DNS_SERVICE_PORT_DNS_UDP": "53",
        "MY_DNS_SERVICE_PORT_DNS": "53",
        "MY_DNS_PORT": "udp://10.0.0.2:53",
        "MY_DNS_PORT_53_UDP": "udp://10.0.0.2:53",
        "MY_DNS_PORT_53_UDP_PROTO": "udp",
        "MY_DNS_PORT_53_UDP_PORT": "53",
        "MY_DNS_PORT_53_UDP_ADDR": "10.0.0.2",
        "MY_DNS_PORT_53_TCP": "tcp://10.0.0.2:53",
        "MY_DNS_PORT_53_TCP_PROTO": "tcp",
        "MY_DNS_PORT_53_TCP_PORT": "53",
        "MY_DNS_PORT_53_TCP_ADDR": "10.0.0.2",
        "MY_DNS_PORT_54_TCP": "tcp://10.0.0.2:54",
        "MY_DNS_PORT_54_TCP_PROTO": "tcp",
        "MY_DNS_PORT_54_TCP_PORT": "54",
        "MY_DNS_PORT_54_TCP_ADDR": "10.0.0.2",
    }  # fmt: skip


def test_ipv6_is_bracketed_in_urls_only():
    variables = service_variables(pod(), [service("web", "fd00::1", {"port": 80})])
    assert variables["WEB_SERVICE_HOST"] == variables["WEB_PORT_80_TCP_ADDR"] == "fd00::1"
    assert variables["WEB_PORT"] == variables["WEB_PORT_80_TCP"] == "tcp://[fd00::1]:80"


@pytest.mark.parametrize("ports", [[], None])
def test_a_service_without_ports(ports):
    bare = {
        "metadata": {"namespace": "apps", "name": "web"},
        "spec": {"clusterIP": "10.0.0.3", "ports": ports},
    }
    assert service_variables(pod(), [bare]) == {"WEB_SERVICE_HOST": "10.0.0.3"}


@pytest.mark.parametrize("ip", ["", "None"])
def test_services_without_an_address(ip):
    assert service_variables(pod(), [service("web", ip, {"port": 80})]) == {}
    assert service_variables(pod(), [{"metadata": {"namespace": "apps", "name": "web"}}]) == {}


@pytest.mark.parametrize(
    ("namespace", "links", "told"),
    [
        ("apps", None, {"KUBERNETES", "WEB"}),
        ("apps", True, {"KUBERNETES", "WEB"}),
        ("apps", False, {"KUBERNETES"}),
        ("other", True, {"KUBERNETES", "FAR"}),
        ("default", True, {"KUBERNETES", "LOCAL"}),
        ("default", False, {"KUBERNETES"}),
    ],
)
def test_which_services_a_pod_is_told_of(namespace, links, told):
    services = [
        service("web", "10.0.0.4", {"port": 80}),
        service("far", "10.0.0.5", {"port": 80}, namespace="other"),
        service("local", "10.0.0.6", {"port": 80}, namespace="default"),
        MASTER,
    ]
    variables = service_variables(pod(namespace, enableServiceLinks=links), services)
    assert {name.split("_")[0] for name in variables} == told


@pytest.mark.parametrize("order", [1, -1])
def test_a_service_named_kubernetes_in_the_pods_namespace_wins(order):
    own = service("kubernetes", "10.9.9.9", {"port": 1})
    services = [MASTER, own][::order]
    assert service_variables(pod(), services)["KUBERNETES_SERVICE_HOST"] == "10.9.9.9"
    assert service_variables(pod(enableServiceLinks=False), services) == MASTER_VARIABLES


def test_service_namespaces():
    assert service_namespaces(pod("apps")) == ("default", "apps")
    assert service_namespaces(pod("apps", enableServiceLinks=False)) == ("default",)
    assert service_namespaces(pod("default")) == ("default",)
