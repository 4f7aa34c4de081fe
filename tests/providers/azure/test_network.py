from __future__ import annotations

import dataclasses

import pytest
from support.azure.configs import SUBNET, azure_config
from support.pods import make_pod

from virtual_kubelet.errors import InvalidInput
from virtual_kubelet.providers.azure.config import KubeProxy
from virtual_kubelet.providers.azure.network import translate
from virtual_kubelet.providers.azure.wishes import Wishes

PORTS = [
    {"name": "a", "ports": [{"containerPort": 53, "protocol": "UDP"}, {"containerPort": 80}]},
    {"name": "b", "ports": [{"containerPort": 80, "protocol": "TCP"}]},
]
PUBLIC = azure_config()
PRIVATE = azure_config(subnet=SUBNET, dns_servers=("10.0.0.10",))


def network(config, wishes=None, dns=(), **spec):
    return translate(make_pod("web", "ns", **spec), config, wishes or Wishes(), dns)


def test_no_ports_no_address():
    assert network(PUBLIC) == {}


def test_ports_of_all_containers_once_each():
    assert network(PUBLIC, containers=PORTS) == {
        "ipAddress": {
            "type": "Public",
            "ports": [{"port": 53, "protocol": "UDP"}, {"port": 80, "protocol": "TCP"}],
        }
    }


def test_a_public_address_can_be_forbidden():
    assert network(azure_config(public_ip=False), containers=PORTS) == {}


def test_a_dns_name_label():
    wishes = Wishes(dns_name_label="shop")
    assert network(PUBLIC, wishes, containers=PORTS)["ipAddress"]["dnsNameLabel"] == "shop"
    with pytest.raises(InvalidInput, match="needs a container with a port"):
        network(PUBLIC, wishes)
    with pytest.raises(InvalidInput, match="needs a public address"):
        network(PRIVATE, wishes, containers=PORTS)


def test_cluster_first_in_a_subnet():
    assert network(PRIVATE) == {
        "subnetIds": [{"id": SUBNET.id}],
        "dnsConfig": {
            "nameServers": ["10.0.0.10"],
            "searchDomains": "ns.svc.cluster.local svc.cluster.local cluster.local",
            "options": "ndots:5",
        },
    }


def test_the_agents_dns_where_none_is_configured():
    config = azure_config(subnet=SUBNET)
    assert network(config, dns=("10.9.0.10",))["dnsConfig"]["nameServers"] == ["10.9.0.10"]
    assert "dnsConfig" not in network(config)


def test_a_pods_own_dns_adds_to_the_clusters_and_its_options_win():
    own = {
        "nameservers": ["1.1.1.1", "8.8.8.8", "9.9.9.9"],
        "searches": ["example.com"],
        "options": [{"name": "ndots", "value": "2"}, {"name": "edns0"}],
    }
    dns = network(PRIVATE, dnsConfig=own)["dnsConfig"]
    assert dns["nameServers"] == ["10.0.0.10", "1.1.1.1", "8.8.8.8"]
    assert dns["searchDomains"].endswith("cluster.local example.com")
    assert dns["options"] == "ndots:2 edns0"


@pytest.mark.parametrize(
    ("spec", "wishes"), [({"dnsPolicy": "Default"}, Wishes()), ({}, Wishes(cluster_dns=False))]
)
def test_without_the_clusters_dns(spec, wishes):
    assert "dnsConfig" not in network(PRIVATE, wishes, **spec)


def test_dns_policy_none():
    own = {"nameservers": ["1.1.1.1"]}
    assert network(PRIVATE, dnsPolicy="None", dnsConfig=own)["dnsConfig"] == {"nameServers": ["1.1.1.1"]}
    with pytest.raises(InvalidInput, match="spec.dnsConfig.nameservers"):
        network(PRIVATE, dnsPolicy="None")
    with pytest.raises(InvalidInput, match="spec.dnsPolicy: None needs"):
        network(PUBLIC, dnsPolicy="None", dnsConfig=own)


def test_search_domains_fit_into_their_string():
    long = {"searches": ["x" * 60 + str(number) for number in range(9)]}
    text = network(PRIVATE, dnsConfig=long)["dnsConfig"]["searchDomains"]
    assert len(text) <= 256
    assert len(text.split()) <= 6


def test_another_subnet_for_one_pod():
    assert network(PUBLIC, Wishes(subnet="/subscriptions/other"))["subnetIds"] == [
        {"id": "/subscriptions/other"}
    ]


def test_extensions():
    config = dataclasses.replace(
        PRIVATE, kube_proxy=KubeProxy("Y29uZmln", "10.240.0.0/16"), realtime_metrics=True
    )
    proxy, metrics = network(config)["extensions"]
    assert proxy["properties"] == {
        "extensionType": "kube-proxy",
        "version": "1.0",
        "settings": {"kubeVersion": "v1.9.10", "clusterCidr": "10.240.0.0/16"},
        "protectedSettings": {"kubeConfig": "Y29uZmln"},
    }
    assert metrics["properties"]["extensionType"] == "realtime-metrics"
    for wishes in (Wishes(kube_proxy=False), Wishes(sku="Confidential")):
        assert [item["name"] for item in network(config, wishes)["extensions"]] == ["vk-realtime-metrics"]
