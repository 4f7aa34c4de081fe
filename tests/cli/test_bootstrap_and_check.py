"""Joining a cluster, and asking what is wrong, as a user does."""

from __future__ import annotations

import base64
import os
import re
import socket
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
import yaml
from cryptography import x509
from support.devapi import BOOTSTRAPPERS, allow_bootstrap, control_plane
from support.waiting import eventually

from virtual_kubelet.agent import VirtualKubelet
from virtual_kubelet.cli import check as check_command
from virtual_kubelet.kube import client_certificate, config
from virtual_kubelet.kube.client import Client
from virtual_kubelet.provider import ProviderConfig
from virtual_kubelet.providers.mock.provider import create as mock
from virtual_kubelet.runtime.clock import SteppedClock
from virtual_kubelet.runtime.threads import Deadline
from virtual_kubelet.settings import Settings
from virtual_kubelet.web.self_signed import self_signed


def command(*words):
    return [sys.executable, "-m", "virtual_kubelet", *map(str, words)]


def run(*words, stdin=""):
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("KUBE", "VKUBELET"))}
    return subprocess.run(
        command(*words), input=stdin, env=environ, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture(params=[True])
def plane(request):
    with control_plane(approve_certificates=request.param) as plane:
        allow_bootstrap(plane)
        yield plane


def bootstrap(plane, tmp_path, *more, token=None):
    (tmp_path / "ca.pem").write_bytes(plane.ca)
    return run(
        "bootstrap", "--nodename", "edge", "--server", plane.url, "--token-file", "-", "--certificate-authority",
        tmp_path / "ca.pem", "--kubeconfig", tmp_path / "kubeconfig", "--cert-dir", tmp_path / "pki", *more,
        stdin=token or plane.token("system:bootstrap:abcdef", [BOOTSTRAPPERS]),
    )  # fmt: skip


def settings(tmp_path, **changes):
    return Settings(
        **{
            "kubeconfig": str(tmp_path / "kubeconfig"), "node_name": "edge", "node_ip": "127.0.0.1", "port": 0,
            "address": "127.0.0.1", "kube_api_qps": 0, "state_dir": str(tmp_path / "state"), **changes,
        }
    )  # fmt: skip


def test_a_node_joins_with_its_own_identity_and_works(plane, tmp_path):
    result = bootstrap(plane, tmp_path)
    assert result.returncode == 0, result.stderr
    kubeconfig = yaml.safe_load((tmp_path / "kubeconfig").read_text())
    assert "token" not in kubeconfig["users"][0]["user"]
    assert (tmp_path / "pki" / client_certificate.FILE_NAME).stat().st_mode & 0o007 == 0
    with VirtualKubelet(settings(tmp_path), mock(ProviderConfig(node_name="edge"))) as agent:
        agent.wait_ready(30)
        eventually(agent.ready)
    users = {request.user for request in plane.requests.all(resource="nodes", verb="create")}
    assert users == {"system:node:edge"}


def test_what_is_there_is_not_replaced_unasked(plane, tmp_path):
    (tmp_path / "kubeconfig").write_text("mine")
    result = bootstrap(plane, tmp_path)
    assert result.returncode == 1
    assert "--force" in result.stderr
    assert (tmp_path / "kubeconfig").read_text() == "mine"
    assert bootstrap(plane, tmp_path, "--force").returncode == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to others")
def test_what_root_makes_belongs_to_the_service(plane, tmp_path):
    """As in the packages: the state is the service's own, the configuration root's and readable by its group."""
    for name, owner in (("pki", (4321, 4321)), ("etc", (0, 4321))):
        (tmp_path / name).mkdir()
        os.chown(tmp_path / name, *owner)
    result = bootstrap(plane, tmp_path, "--kubeconfig", tmp_path / "etc" / "kubeconfig")
    assert result.returncode == 0, result.stderr
    found = [
        path.stat() for path in (tmp_path / "pki" / client_certificate.FILE_NAME, tmp_path / "etc/kubeconfig")
    ]
    assert [(each.st_uid, each.st_gid, each.st_mode & 0o777) for each in found] == [
        (4321, 4321, 0o600),
        (0, 4321, 0o640),
    ]


@pytest.mark.parametrize("plane", [False], indirect=True)
def test_it_says_how_to_approve_and_waits(plane, tmp_path):
    result = bootstrap(plane, tmp_path, "--timeout", "2")
    assert result.returncode == 1
    assert "kubectl certificate approve node-csr-" in result.stdout
    assert "was not approved within 2 s" in result.stderr
    assert not (tmp_path / "kubeconfig").exists()


def test_a_token_without_the_right_is_told_what_it_lacks(plane, tmp_path):
    result = bootstrap(plane, tmp_path, token=plane.token("nobody"))
    assert result.returncode == 1
    assert "system:node-bootstrapper" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_wrong_token_does_not_appear(plane, tmp_path):
    result = bootstrap(plane, tmp_path, token="hush-hush")
    assert result.returncode == 1
    assert "hush-hush" not in result.stderr + result.stdout
    assert "does not accept the credentials" in result.stderr


def test_a_kubeconfig_serves_as_well(plane, tmp_path):
    plane.write_kubeconfig(tmp_path / "admin")
    result = run(
        "bootstrap", "--nodename", "edge", "--from", tmp_path / "admin", "--kubeconfig", tmp_path / "out",
        "--cert-dir", tmp_path / "pki",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert config.load(str(tmp_path / "out")).server == plane.url


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--nodename", "Bad Name"), "--nodename"),
        (("--nodename", "a"), "--server"),
        (("--nodename", "a", "--from", "/nowhere"), "/nowhere"),
        (("--nodename", "a", "--from", "/x", "--server", "https://y"), "--from"),
        ((), "--nodename"),
    ],
)
def test_mistakes_are_named(words, named, tmp_path):
    result = run("bootstrap", *words, "--kubeconfig", tmp_path / "out", "--cert-dir", tmp_path / "pki")
    assert result.returncode in {1, 2}
    assert named in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_certificate_is_renewed_with_itself(plane, tmp_path):
    assert bootstrap(plane, tmp_path).returncode == 0
    path = tmp_path / "pki" / client_certificate.FILE_NAME
    before = x509.load_pem_x509_certificates(path.read_bytes())[0]
    clock = SteppedClock(before.not_valid_before_utc.timestamp())
    client = Client(config.load(str(tmp_path / "kubeconfig")), qps=0)
    renewal = client_certificate.Renewal(client, path, "edge", clock=clock)
    renewal.start()
    try:
        clock.block_until(1)
        assert not plane.requests.all(resource="certificatesigningrequests", user="system:node:edge")
        life = before.not_valid_after_utc - before.not_valid_before_utc
        clock.advance(life.total_seconds() * 0.95)

        def renewed():
            clock.advance(60)
            return x509.load_pem_x509_certificates(path.read_bytes())[0].serial_number != before.serial_number

        eventually(renewed)
        assert client.get_path("/version")
    finally:
        renewal.stop(Deadline(5))
        client.close()


def test_other_identities_are_left_alone(plane, tmp_path):
    plane.write_kubeconfig(tmp_path / "admin")
    assert client_certificate.own_file(config.load(str(tmp_path / "admin"))) is None


# --- check


def check(tmp_path, *words, kubeconfig="kubeconfig"):
    return run(
        "check", "--kubeconfig", tmp_path / kubeconfig, "--provider", "mock", "--nodename", "edge", "--port", "0",
        "--state-dir", tmp_path / "state", *words,
    )  # fmt: skip


def test_check_of_a_node_that_joined_finds_nothing_wrong(plane, tmp_path):
    assert bootstrap(plane, tmp_path).returncode == 0
    result = check(tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "ok       right to patch nodes/status" in result.stdout
    assert "ok       clock" in result.stdout
    assert result.stdout.endswith("nothing is wrong\n")


def test_check_names_each_missing_right(plane, tmp_path):
    plane.write_kubeconfig(tmp_path / "kubeconfig", plane.token("nobody"))
    result = check(tmp_path)
    assert result.returncode == 1
    assert "WRONG    right to list pods: missing: no pod is seen" in result.stdout


def test_check_names_what_is_wrong_at_home(plane, tmp_path):
    plane.write_kubeconfig(tmp_path / "kubeconfig")
    (tmp_path / "cert").write_text("no certificate")
    result = check(
        tmp_path, "--tls-cert-file", tmp_path / "cert", "--tls-private-key-file", tmp_path / "cert",
        "--provider-config", tmp_path / "nowhere.json",
    )  # fmt: skip
    assert result.returncode == 1
    assert "WRONG    certificates: --tls-cert-file" in result.stdout
    assert "nowhere.json" in result.stdout
    assert "Traceback" not in result.stderr


def test_check_of_an_api_server_that_is_away(plane, tmp_path):
    plane.write_kubeconfig(tmp_path / "kubeconfig")
    plane.stop(Deadline(10))
    result = check(tmp_path)
    assert result.returncode == 1
    assert "WRONG    API server" in result.stdout


def changed(tmp_path, plane, kind, **values):
    """Write a kubeconfig whose cluster or user is another one."""
    plane.write_kubeconfig(tmp_path / "kubeconfig")
    document = yaml.safe_load((tmp_path / "kubeconfig").read_text())
    document[f"{kind}s"][0][kind].update(values)
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(document))


def test_check_of_an_api_server_that_is_another(plane, tmp_path):
    with control_plane() as other:
        encoded = base64.b64encode(other.ca).decode()
    changed(tmp_path, plane, "cluster", **{"certificate-authority-data": encoded})
    result = check(tmp_path)
    assert result.returncode == 1
    assert "WRONG    API server" in result.stdout
    assert "not trusted" in result.stdout


def test_check_of_a_token_that_has_ended(plane, tmp_path):
    changed(tmp_path, plane, "user", token="hush-hush")
    result = check(tmp_path)
    assert result.returncode == 1
    assert "does not accept the credentials" in result.stdout
    assert "hush" not in result.stdout + result.stderr


def test_check_of_a_port_that_is_taken(plane, tmp_path):
    plane.write_kubeconfig(tmp_path / "kubeconfig")
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        result = check(tmp_path, "--port", port, "--address", "127.0.0.1")
    assert f"warning  port {port}: Address already in use; it may be this node itself" in result.stdout


def test_check_of_a_backend_that_is_away(plane, tmp_path):
    plane.write_kubeconfig(tmp_path / "kubeconfig")
    (tmp_path / "docker.toml").write_text(f'host = "unix://{tmp_path}/nowhere.sock"\n')
    result = check(tmp_path, "--provider", "docker", "--provider-config", tmp_path / "docker.toml")
    assert result.returncode == 1
    assert "WRONG    provider: " in result.stdout
    assert "nowhere.sock" in result.stdout
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(("seconds", "word"), [(3600, "ahead of"), (-3600, "behind")])
def test_check_of_a_clock_that_is_wrong(plane, tmp_path, monkeypatch, capsys, seconds, word):
    plane.write_kubeconfig(tmp_path / "kubeconfig")
    ours = SimpleNamespace(time=lambda: time.time() + seconds)
    monkeypatch.setattr(check_command, "time", ours)
    flags = {
        "kubeconfig": str(tmp_path / "kubeconfig"), "provider": "mock", "port": "0", "state_dir": str(tmp_path / "state"),
    }  # fmt: skip
    assert check_command.run(flags, {}) == 1
    assert re.search(
        rf"WRONG    clock: 3[56]\d\d s {word} .*; let chrony or ntpd set it", capsys.readouterr().out
    )


def test_check_of_a_serving_certificate_that_has_ended(plane, tmp_path):
    plane.write_kubeconfig(tmp_path / "kubeconfig")
    pair = self_signed(["edge"], clock=SteppedClock(time.time() - 400 * 86400))
    (tmp_path / "cert.pem").write_bytes(pair.certificate)
    (tmp_path / "key.pem").write_bytes(pair.key)
    result = check(
        tmp_path, "--tls-cert-file", tmp_path / "cert.pem", "--tls-private-key-file", tmp_path / "key.pem"
    )
    assert result.returncode == 1
    assert "WRONG    serving certificate: it has ended: valid until 2" in result.stdout
