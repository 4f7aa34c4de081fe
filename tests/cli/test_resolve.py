from __future__ import annotations

import pytest

from virtual_kubelet.cli.resolve import UsageError, resolve
from virtual_kubelet.errors import ConfigError
from virtual_kubelet.settings import Settings, TaintSetting


@pytest.fixture
def kubeconfig(tmp_path):
    path = tmp_path / "kubeconfig"
    path.write_text("{}")
    return str(path)


def settings(flags, environ=None, *, kubeconfig):
    return resolve({"kubeconfig": kubeconfig, "state_dir": "/state", **flags}, environ or {}).settings


def test_defaults(kubeconfig):
    found = settings({"provider": "mock", "state_dir": "/tmp/vk"}, kubeconfig=kubeconfig)
    assert found == Settings(
        kubeconfig=kubeconfig,
        provider="mock",
        state_dir="/tmp/vk/virtual-kubelet",
        taints=(TaintSetting("virtual-kubelet.io/provider", "mock", "NoSchedule"),),
    )


def test_flag_beats_environment_beats_file(tmp_path, kubeconfig):
    file = tmp_path / "config.toml"
    file.write_text('nodename = "from-file"\nport = 1\npod-sync-workers = 3\n[node-labels]\na = "b"\n')
    environ = {"DEFAULT_NODE_NAME": "from-environment", "KUBELET_PORT": "2"}
    found = settings({"config": str(file), "nodename": "from-flag"}, environ, kubeconfig=kubeconfig)
    assert (found.node_name, found.port, found.pod_sync_workers) == ("from-flag", 2, 3)
    assert found.node_labels == {"a": "b"}


def test_own_variable_beats_the_old_name(kubeconfig):
    environ = {"VKUBELET_PORT": "1", "KUBELET_PORT": "2"}
    assert settings({}, environ, kubeconfig=kubeconfig).port == 1


@pytest.mark.parametrize(
    ("variable", "field", "value"),
    [
        ("APISERVER_CA_CERT_LOCATION", "client_ca_file", "x"),
        ("VKUBELET_POD_IP", "node_ip", "10.0.0.9"),
        ("VKUBELET_CLUSTER_DOMAIN", "cluster_domain", "x"),
        ("DEFAULT_NODE_NAME", "node_name", "x"),
    ],
)
def test_old_names_in_the_environment(variable, field, value, kubeconfig):
    assert getattr(settings({}, {variable: value}, kubeconfig=kubeconfig), field) == value


@pytest.mark.parametrize("given", ["linux", "Linux", "LINUX"])
def test_operating_system_in_any_case(given, kubeconfig):
    assert settings({"os": given}, kubeconfig=kubeconfig).operating_system == "Linux"


@pytest.mark.parametrize(
    ("flags", "environ", "taints"),
    [
        ({"disable_taint": "true"}, {}, ()),
        ({"taint": ["a=b:NoExecute", "c"]}, {}, (TaintSetting("a", "b", "NoExecute"), TaintSetting("c"))),
        ({}, {"VKUBELET_TAINT": "a,b=c"}, (TaintSetting("a"), TaintSetting("b", "c"))),
        (
            {"provider": "mock"},
            {"VKUBELET_TAINT_KEY": "k", "VKUBELET_TAINT_VALUE": "v", "VKUBELET_TAINT_EFFECT": "NoExecute"},
            (TaintSetting("k", "v", "NoExecute"),),
        ),
    ],
)
def test_taints(flags, environ, taints, kubeconfig):
    assert settings(flags, environ, kubeconfig=kubeconfig).taints == taints


@pytest.mark.parametrize(
    ("flags", "environ", "named"),
    [
        ({"port": "x"}, {}, "--port"),
        ({"port": "70000"}, {}, "70000"),
        ({}, {"KUBELET_PORT": "ten"}, "KUBELET_PORT"),
        ({"os": "beos"}, {}, "Beos"),
        ({"pod_sync_workers": "0"}, {}, "pod-sync-workers"),
        ({"full_resync_period": "soon"}, {}, "--full-resync-period"),
        ({"log_level": "loud"}, {}, "--log-level"),
        ({"nodename": "Not_A_Name"}, {}, "--nodename"),
        ({"namespace": "Not_A_Name"}, {}, "--namespace"),
        ({"node_ip": "x"}, {}, "--node-ip"),
        ({}, {"VKUBELET_POD_IP": "x"}, "VKUBELET_POD_IP"),
        ({"cluster_dns": "10.0.0.10,x"}, {}, "--cluster-dns"),
        ({"node_labels": "a=b c"}, {}, "--node-labels"),
        ({"metrics_addr": "nonsense"}, {}, "--metrics-addr"),
        ({"taint": ["a:Never"]}, {}, "--taint"),
        ({}, {"VKUBELET_TAINT_EFFECT": "Never"}, "VKUBELET_TAINT_EFFECT"),
        ({"tls_cert_file": "/x"}, {}, "--tls-private-key-file"),
        ({"authorization_mode": "None"}, {}, "AlwaysAllow"),
    ],
)
def test_a_wrong_value_is_named(flags, environ, named, kubeconfig):
    with pytest.raises(UsageError, match=named) as caught:
        settings(flags, environ, kubeconfig=kubeconfig)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("= broken", "TOML"),
        ("colour = 'red'", "colour"),
        ("port = 'ten'", "port in"),
        ("taint = 'a:Never'", "taint in"),
    ],
)
def test_a_wrong_file_is_named(content, named, tmp_path, kubeconfig):
    """Exit code 2, which systemd does not try again."""
    file = tmp_path / "config.toml"
    file.write_text(content)
    with pytest.raises(UsageError, match=named):
        settings({"config": str(file)}, kubeconfig=kubeconfig)


def test_a_missing_file_is_named(tmp_path, kubeconfig):
    with pytest.raises(ConfigError, match="missing.toml"):
        settings({"config": str(tmp_path / "missing.toml")}, kubeconfig=kubeconfig)


def test_a_named_kubeconfig_must_exist(tmp_path):
    with pytest.raises(ConfigError, match="nowhere: no such file"):
        resolve({"kubeconfig": "nowhere"}, {})


def test_kubeconfig_of_the_home_directory(tmp_path):
    (tmp_path / ".kube").mkdir()
    (tmp_path / ".kube" / "config").write_text("{}")
    assert resolve({}, {"HOME": str(tmp_path)}).settings.kubeconfig == str(tmp_path / ".kube" / "config")


def test_no_cluster_at_all_says_what_to_set(tmp_path):
    with pytest.raises(ConfigError, match="KUBECONFIG"):
        resolve({}, {"HOME": str(tmp_path)})


def test_an_empty_value_means_not_set(kubeconfig):
    assert settings({"metrics_addr": ""}, {"KUBELET_PORT": ""}, kubeconfig=kubeconfig).port == Settings.port
