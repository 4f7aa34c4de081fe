from __future__ import annotations

import ipaddress

import pytest

from virtual_kubelet.node import host


def test_facts_are_what_the_machine_says():
    facts = host.host_facts()
    assert facts.architecture in {"amd64", "arm64", "arm", "386", "ppc64le", "s390x", "riscv64", "loong64"}
    assert facts.kernel_version
    assert facts.os_image


def test_what_cannot_be_read_is_left_empty(monkeypatch):
    monkeypatch.setattr(host.platform, "freedesktop_os_release", _not_there)
    monkeypatch.setattr(host.Path, "read_text", _not_there)
    monkeypatch.setattr(host.platform, "machine", lambda: "Exotic64")
    facts = host.host_facts()
    assert (facts.architecture, facts.machine_id, facts.boot_id) == ("exotic64", "", "")
    assert facts.os_image == host.platform.system()


def _not_there(*_args, **_options):
    raise FileNotFoundError


@pytest.mark.parametrize(
    ("url", "loopback"), [("https://127.0.0.1:6443", "127.0.0.1"), ("http://127.0.0.1", "127.0.0.1")]
)
def test_the_address_that_leads_there(url, loopback):
    assert host.address_towards(url) == loopback
    assert ipaddress.ip_address(loopback)


def test_no_address_leads_nowhere():
    assert host.address_towards("https://no-such-host.invalid") == ""


def test_a_family_without_a_route_is_passed_over(monkeypatch):
    found = host.socket.getaddrinfo("127.0.0.1", 80, type=host.socket.SOCK_DGRAM)
    nowhere = [(host.socket.AF_INET6, host.socket.SOCK_DGRAM, 17, "", ("100::1", 80, 0, 0))]
    monkeypatch.setattr(host.socket, "getaddrinfo", lambda *_a, **_o: [*nowhere, *found])
    assert host.address_towards("https://x") in {"127.0.0.1", "::1"} or host.address_towards("https://x")
