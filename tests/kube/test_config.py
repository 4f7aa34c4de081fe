from __future__ import annotations

import base64
import json
import os
import ssl
import sys

import pytest
import yaml
from support.certificates import Authority

from virtual_kubelet.errors import ConfigError
from virtual_kubelet.kube import config
from virtual_kubelet.runtime.clock import SteppedClock

CA = Authority()
CLIENT = CA.client("system:node:vk", ["system:nodes"])


def encoded(data):
    return base64.b64encode(data).decode()


@pytest.fixture
def write(tmp_path):
    """Write a kubeconfig with one context; `cluster` and `user` are its two entries."""

    def write(cluster=None, user=None, name="config", **others):
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "here",
            "contexts": [{"name": "here", "context": {"cluster": "prod", "user": "me"}}],
            "clusters": [
                {"name": "prod", "cluster": {"server": "https://api.example:6443", **(cluster or {})}}
            ],
            "users": [{"name": "me", "user": user or {}}],
        } | others
        path = tmp_path / name
        path.write_text(yaml.safe_dump(document))
        return str(path)

    return write


def refusal(path, **kwargs):
    with pytest.raises(ConfigError) as caught:
        config.load(path, **{"environ": {}, **kwargs})
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_token_and_ca_data(write):
    access = config.load(write({"certificate-authority-data": encoded(CA.pem)}, {"token": "abc"}), environ={})
    assert access.server == "https://api.example:6443"
    assert access.authorization() == "Bearer abc"
    context = access.ssl_context()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert len(context.get_ca_certs()) == 1


def test_files_are_relative_to_the_kubeconfig(write, tmp_path):
    (tmp_path / "pki").mkdir()
    (tmp_path / "pki" / "ca.crt").write_bytes(CA.pem)
    CLIENT.write(tmp_path / "pki", "client")
    access = config.load(
        write(
            {"certificate-authority": "pki/ca.crt"},
            {"client-certificate": "pki/client.crt", "client-key": "pki/client.key"},
        ),
        environ={},
    )
    assert access.tls.cert_file == str(tmp_path / "pki" / "client.crt")
    assert access.authorization() is None
    access.ssl_context()


def test_data_beats_files_and_leaves_nothing_on_disk(write, tmp_path, monkeypatch):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    path = write(
        {"certificate-authority": "absent", "certificate-authority-data": encoded(CA.pem)},
        {
            "client-certificate-data": encoded(CLIENT.certificate),
            "client-key-data": encoded(CLIENT.key),
            "client-certificate": "absent",
        },
    )
    config.load(path, environ={}).ssl_context()
    assert list(scratch.iterdir()) == []


def test_password(write):
    access = config.load(write(user={"username": "u", "password": "p:w"}), environ={})
    assert access.authorization() == "Basic " + encoded(b"u:p:w")


def test_token_file_is_read_again(write, tmp_path):
    token = tmp_path / "token"
    token.write_text("one\n")
    access = config.load(write(user={"token": "ignored", "tokenFile": "token"}), environ={})
    assert access.authorization() == "Bearer one"
    clock = access.credentials._clock = SteppedClock()
    token.write_text("two\n")
    clock.advance(59)
    access.credentials._renew_at = 60
    assert access.authorization() == "Bearer one"
    clock.advance(2)
    assert access.authorization() == "Bearer two"
    token.unlink()
    clock.advance(61)
    assert access.authorization() == "Bearer two", "what was good is used on"


def test_tls_server_name_and_insecure(write, caplog):
    access = config.load(
        write({"insecure-skip-tls-verify": True, "tls-server-name": "kubernetes"}), environ={}
    )
    assert access.tls.server_name == "kubernetes"
    assert access.ssl_context().verify_mode is ssl.CERT_NONE
    assert "certificate is not checked" in caplog.text


def test_several_files_are_merged_and_the_first_wins(write):
    one = write(name="one", users=[], clusters=[])
    two = write({"server": "https://two:1"}, {"token": "two"}, name="two", **{"current-context": "other"})
    access = config.load(os.pathsep.join([one, "/nowhere", two]), environ={})
    assert (access.server, access.authorization()) == ("https://two:1", "Bearer two")


@pytest.mark.parametrize(
    ("environ", "proxy"),
    [
        ({"HTTPS_PROXY": "http://proxy:3128"}, "http://proxy:3128"),
        ({"https_proxy": "proxy:3128"}, "http://proxy:3128"),
        ({"HTTP_PROXY": "http://proxy:3128"}, ""),
        ({"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "10.0.0.0/8"}, ""),
        ({"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "192.168.0.0/16,.example"}, "http://proxy:3128"),
    ],
)
def test_proxies_of_the_environment(write, environ, proxy):
    assert config.load(write({"server": "https://10.96.0.1"}), environ=environ).proxy == proxy


def test_the_clusters_own_proxy_beats_the_environment(write):
    path = write({"proxy-url": "http://own:1"})
    assert config.load(path, environ={"HTTPS_PROXY": "http://other:1"}).proxy == "http://own:1"


@pytest.mark.parametrize(
    ("cluster", "user", "words"),
    [
        ({"server": "api.example"}, {}, ['cluster "prod"', "is not a URL"]),
        ({"server": 5}, {}, ["server has to be a string"]),
        ({"certificate-authority": "ca.crt"}, {}, ["certificate-authority", "ca.crt: no such file"]),
        ({"certificate-authority-data": "!"}, {}, ["certificate-authority-data is not base64"]),
        ({"certificate-authority-data": encoded(b"x")}, {}, ["holds no usable PEM certificate"]),
        ({"insecure-skip-tls-verify": "yes"}, {}, ["has to be true or false"]),
        ({"proxy-url": "socks5://x"}, {}, ["only http:// and https:// proxies"]),
        ({}, {"client-certificate-data": encoded(CLIENT.certificate)}, ['user "me"', "need each other"]),
        (
            {},
            {
                "client-certificate-data": encoded(CLIENT.certificate),
                "client-key-data": encoded(CA.client("other").key),
            },
            ["do not match"],
        ),
        ({}, {"tokenFile": "absent"}, ["tokenFile", "no such file"]),
        ({}, {"as": "root"}, ['"as" (impersonation) is not supported']),
        ({}, {"exec": "aws"}, ["exec has to be a mapping"]),
    ],
)
def test_what_is_wrong_is_named(write, cluster, user, words):
    path = write(cluster, user)
    text = refusal(path)
    for word in [path, *words]:
        assert word in text


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, ["no such file", "--kubeconfig"]),
        ("", ["the file is empty"]),
        ("- a", ["a mapping was expected"]),
        ("token: s3cr3t\n  bad: [", ["not valid YAML", "line 2"]),
        ("{}", ["no current-context", "kubectl config use-context"]),
        ("{current-context: x}", ['no context "x"', "there is none at all"]),
        ("{current-context: x, contexts: [{name: y}]}", ['no context "x" (there: y)']),
        ("{current-context: x, contexts: 5}", ["contexts has to be a list"]),
        ("{current-context: x, contexts: [{name: x, context: 5}]}", ['context "x" has to be a mapping']),
        ("{current-context: x, contexts: [{name: x}]}", ["names no cluster"]),
        (
            (
                "{current-context: x, contexts: [{name: x, context: {cluster: c, user: u}}],"
                " clusters: [{name: c, cluster: {server: 'http://h'}}]}"
            ),
            ['no user "u"'],
        ),
    ],
)
def test_files_that_are_no_kubeconfig(tmp_path, content, words):
    path = tmp_path / "config"
    if content is not None:
        path.write_text(content)
    text = refusal(str(path))
    assert "s3cr3t" not in text
    for word in [str(path), *words]:
        assert word in text


def test_a_file_that_may_not_be_read(tmp_path, monkeypatch):
    path = tmp_path / "config"
    path.write_bytes(b"\xff\xfe\x00")
    assert "cannot be read" in refusal(str(path))


# -- in a pod -------------------------------------------------------------------------------------------

POD = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443"}


@pytest.fixture
def service_account(tmp_path, monkeypatch):
    monkeypatch.setattr(config, "SERVICE_ACCOUNT", tmp_path)
    (tmp_path / "ca.crt").write_bytes(CA.pem)
    (tmp_path / "token").write_text("pod-token")
    return tmp_path


def test_in_a_pod(service_account):
    modules = set(sys.modules)
    access = config.load("", environ=POD)
    assert access.server == "https://10.96.0.1:443"
    assert access.authorization() == "Bearer pod-token"
    assert access.tls.ca_file == str(service_account / "ca.crt")
    assert "kubernetes" not in set(sys.modules) - modules, "20 to 40 MB for three files"


def test_ipv6_addresses_get_their_brackets(service_account):
    assert (
        config.load("", environ=POD | {"KUBERNETES_SERVICE_HOST": "fd00::1"}).server
        == "https://[fd00::1]:443"
    )


def test_neither_kubeconfig_nor_pod():
    text = refusal("")
    assert "KUBERNETES_SERVICE_HOST" in text
    assert "--kubeconfig" in text


def test_a_pod_without_its_token(service_account):
    (service_account / "token").unlink()
    assert "automountServiceAccountToken" in refusal("", environ=POD)


def test_a_pod_with_an_empty_token(service_account):
    (service_account / "token").write_text("")
    assert "is empty" in refusal("", environ=POD)


def test_the_ca_file_is_read_again_when_it_changes(service_account):
    access = config.load("", environ=POD)
    before = access.fingerprint()
    assert access.fingerprint() == before
    (service_account / "ca.crt").write_bytes(Authority("the next one").pem + CA.pem)
    assert access.fingerprint() != before


# -- plug-ins -------------------------------------------------------------------------------------------

PLUGIN = """
import json, os, sys
info = json.loads(os.environ["KUBERNETES_EXEC_INFO"])
count = int(open(sys.argv[1]).read() or 0) + 1
open(sys.argv[1], "w").write(str(count))
status = json.load(open(sys.argv[2]))
if "fail" in status:
    print(status["fail"], file=sys.stderr)
    sys.exit(1)
status = {key: value.replace("COUNT", str(count)) for key, value in status.items()}
print(json.dumps({"kind": "ExecCredential", "apiVersion": info["apiVersion"], "status": status}))
"""


class Plugin:
    def __init__(self, directory, write):
        self.script, self.counter, self.answer = (directory / n for n in ("plugin.py", "count", "answer"))
        self.script.write_text(PLUGIN)
        self.counter.write_text("")
        spec = {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": sys.executable,
            "args": [str(self.script), str(self.counter), str(self.answer)],
            "interactiveMode": "Never",
        }
        self.kubeconfig = write(user={"exec": spec})

    def says(self, **status):
        self.answer.write_text(json.dumps(status))

    @property
    def runs(self):
        return int(self.counter.read_text() or 0)

    def load(self):
        """Load with a stepped clock, so that what the plug-in says of time can be reached."""
        access = config.load(self.kubeconfig, environ={})
        self.counter.write_text("1")  # by the real time it may have run again while it was loaded
        clock = access.credentials._clock = SteppedClock()
        access.credentials._renew_at = access.credentials._valid_until = 0.0
        access.authorization()
        return access, clock


@pytest.fixture
def plugin(tmp_path, write):
    return Plugin(tmp_path, write)


def test_a_plugin_gives_a_token_once(plugin):
    plugin.says(token="t-COUNT")
    access = config.load(plugin.kubeconfig, environ={})
    assert [access.authorization() for _ in range(3)] == ["Bearer t-1"] * 3
    assert plugin.runs == 1


def test_a_plugins_token_is_renewed_before_its_end(plugin):
    plugin.says(token="t-COUNT", expirationTimestamp="2023-11-14T22:28:20Z")  # 900 s after the stepped start
    access, clock = plugin.load()
    clock.advance(830)
    assert access.authorization() == "Bearer t-2"
    plugin.says(token="t-COUNT", expirationTimestamp="2023-11-14T23:28:20Z")
    clock.advance(15)
    assert access.authorization() == "Bearer t-3"


def test_a_plugin_that_fails_later_costs_nothing_while_its_token_is_valid(plugin, caplog):
    plugin.says(token="t-COUNT", expirationTimestamp="2023-11-14T22:28:20Z")
    access, clock = plugin.load()
    plugin.says(fail="no network")
    clock.advance(850)
    assert access.authorization() == "Bearer t-2"
    assert "no network" in caplog.text
    clock.advance(60)
    with pytest.raises(Exception, match="no network") as caught:
        access.authorization()
    assert caught.type.__name__ == "ApiUnavailable"


def test_a_401_runs_the_plugin_again_but_not_in_a_loop(plugin):
    plugin.says(token="t-COUNT")
    access, clock = plugin.load()
    clock.advance(20)
    assert access.credentials.rejected()
    assert access.authorization() == "Bearer t-3"
    assert not access.credentials.rejected()


def test_a_plugin_may_give_a_certificate(plugin):
    plugin.says(clientCertificateData=CLIENT.certificate.decode(), clientKeyData=CLIENT.key.decode())
    access = config.load(plugin.kubeconfig, environ={})
    assert access.authorization() is None
    assert access.credentials.certificate().key == CLIENT.key
    access.ssl_context()


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ({"fail": "please\nlog in"}, ["failed", "please log in"]),
        ({}, ["neither a token nor a certificate"]),
        ({"token": "x", "expirationTimestamp": "soon"}, ["expirationTimestamp", "soon"]),
    ],
)
def test_a_plugin_that_fails_at_the_start(plugin, status, words):
    plugin.says(**status)
    text = refusal(plugin.kubeconfig)
    for word in ['user "me"', sys.executable, *words]:
        assert word in text


def test_a_plugin_that_is_not_installed(write):
    path = write(
        user={"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "no-such-plugin"}}
    )
    assert 'plug-in "no-such-plugin" is not installed' in refusal(path)


def test_an_oidc_provider(write):
    claims = encoded(json.dumps({"exp": 4102444800}).encode()).rstrip("=")
    token = f"eyJhbGciOiJub25lIn0.{claims}.c2ln"
    provider = {"name": "oidc", "config": {"id-token": token, "client-id": "x"}}
    access = config.load(write(user={"auth-provider": provider}), environ={})
    assert access.authorization() == f"Bearer {token}"


def test_an_unknown_auth_provider(write):
    text = refusal(write(user={"auth-provider": {"name": "acme"}}))
    assert "gave no token" in text
    assert "exec" in text
