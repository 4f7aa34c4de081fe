from __future__ import annotations

import os

import pytest
from support.process_pods import container, make_pod

from virtual_kubelet.errors import ConfigError, InvalidInput
from virtual_kubelet.provider import ProviderConfig
from virtual_kubelet.providers.process import rules
from virtual_kubelet.providers.process.config import load


def config(tmp_path, text=None, **fields):
    path = tmp_path / "process.toml"
    if text is not None:
        path.write_text(text)
    return ProviderConfig(node_name="vm-1", config_path=str(path) if text is not None else "", **fields)


def test_everything(tmp_path):
    settings = load(
        config(
            tmp_path,
            'cpu = 4\nmemory = "8Gi"\npods = "20"\nstate = "/srv/state"\nlogs = "/var/log/pods"\n'
            'log-max-size = "1Mi"\nlog-max-files = 3\nmounts = "off"\n[others]\n"example.com/dongle" = 2\n',
            state_dir="/elsewhere",
        )
    )
    assert settings.resources == {"cpu": "4", "memory": "8Gi", "pods": "20", "example.com/dongle": "2"}
    assert (str(settings.state), str(settings.logs)) == ("/srv/state", "/var/log/pods")
    assert (settings.log_max_bytes, settings.log_max_files, settings.mounts) == (1024**2, 3, False)


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({"state_dir": "/srv/node"}, "/srv/node"),
        ({"environ": {"XDG_STATE_HOME": "/x"}}, "/x/virtual-kubelet/vm-1"),
        ({"environ": {"HOME": "/home/me"}}, "/home/me/.local/state/virtual-kubelet/vm-1"),
    ],
)
def test_where_state_goes(tmp_path, fields, state):
    settings = load(config(tmp_path, **fields))
    assert str(settings.state) == state
    assert str(settings.logs) == f"{state}/logs"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("cpus = 4", '"cpus" is not a setting; there are cpu'),
        ("cpu = true", "cpu = True is not a quantity"),
        ('memory = "lots"', "memory = 'lots' is not a quantity"),
        ('memory = "-1Gi"', "is not a quantity"),
        ("state = 7", "state must be a string"),
        ('mounts = "maybe"', 'mounts = "maybe" is not one of auto, off'),
        ("log-max-files = 1", "log-max-files = 1 must be a number, 2 or more"),
        ('log-max-size = "1"', "too small"),
        ("others = 3", "others must be a table"),
        ("cpu =", "not TOML"),
    ],
)
def test_what_cannot_be_used_is_named_in_one_line(tmp_path, text, words):
    with pytest.raises(ConfigError) as caught:
        load(config(tmp_path, text))
    assert words in str(caught.value)
    assert "process.toml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match="No such file.*--provider-config"):
        load(ProviderConfig(node_name="vm-1", config_path=str(tmp_path / "none.toml")))


# -- rules

OTHER = os.geteuid() + 1


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"command": []}, "has no command"),
        ({"volumeDevices": [{"name": "x"}]}, "volumeDevices"),
        ({"securityContext": {"privileged": True}}, "privileged"),
        ({"securityContext": {"capabilities": {"add": ["NET_ADMIN"]}}}, "NET_ADMIN"),
    ],
)
def test_what_a_process_cannot_be(fields, words):
    with pytest.raises(InvalidInput, match=words):
        rules.check_pod(make_pod(container(**fields)))


def test_sysctls_are_refused():
    with pytest.raises(InvalidInput, match="sysctls"):
        rules.check_pod(make_pod(securityContext={"sysctls": [{"name": "a", "value": "1"}]}))


def test_a_uid_that_leads_elsewhere_is_refused():
    with pytest.raises(InvalidInput, match=r"metadata\.uid"):
        rules.check_pod(make_pod(uid="../x"))


@pytest.mark.parametrize(
    "context",
    [
        {"capabilities": {"drop": ["ALL"]}},
        {"seccompProfile": {"type": "RuntimeDefault"}},
        {"readOnlyRootFilesystem": True, "allowPrivilegeEscalation": False},
        {"runAsUser": os.geteuid(), "runAsGroup": os.getegid()},
    ],
)
def test_what_only_confines_is_left_aside(context):
    rules.check_pod(make_pod(container(securityContext=context)))


def test_another_user_as_a_plain_user(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(os, "getegid", lambda: 1000)
    pod = make_pod(container(securityContext={"runAsUser": 1001}))
    with pytest.raises(InvalidInput, match="asks for user 1001"):
        rules.check_pod(pod)
    pod = make_pod(container(), securityContext={"runAsGroup": 5})
    with pytest.raises(InvalidInput, match="asks for group 5"):
        rules.check_pod(pod)
    rules.check_pod(make_pod(container(), securityContext={"runAsNonRoot": True}))


def test_another_user_as_root(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(InvalidInput, match="would run as root; set runAsUser"):
        rules.check_pod(make_pod(container(), securityContext={"runAsNonRoot": True}))
    item = container(securityContext={"runAsUser": 1001})
    pod = make_pod(item, securityContext={"runAsUser": 7, "fsGroup": 99, "supplementalGroups": [5]})
    assert rules.identity(pod, item) == {"user": 1001, "group": 1001, "groups": [1001, 5, 99]}
    assert rules.identity(make_pod(container()), container()) == {}
