from __future__ import annotations

import socket

import pytest

from virtual_kubelet.errors import ConfigError, InvalidInput
from virtual_kubelet.provider import ProviderConfig
from virtual_kubelet.providers.docker.config import load
from virtual_kubelet.providers.docker.provider import create
from virtual_kubelet.providers.engine.options import profile_reader


def settings(tmp_path, text="", environ=None, name="docker"):
    path = tmp_path / "docker.toml"
    path.write_text(text)
    config = ProviderConfig(
        node_name="n", config_path=str(path), state_dir=str(tmp_path), environ=environ or {}
    )
    return load(config, name)


@pytest.mark.parametrize(
    ("text", "environ", "name", "found"),
    [
        ('host = "unix:///a"', {"DOCKER_HOST": "unix:///b"}, "docker", "unix:///a"),
        ("", {"DOCKER_HOST": "tcp://h:1", "CONTAINER_HOST": "unix:///c"}, "docker", "tcp://h:1"),
        ("", {"DOCKER_HOST": "tcp://h:1", "CONTAINER_HOST": "unix:///c"}, "podman", "unix:///c"),
    ],
)
def test_which_engine(tmp_path, text, environ, name, found):
    assert str(settings(tmp_path, text, environ, name).endpoint) == found


def test_a_socket_is_found_by_itself(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "virtual_kubelet.providers.docker.config.SOCKETS", {"docker": ("{runtime}/docker.sock",)}
    )
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "docker.sock"))
        found = settings(tmp_path, environ={"XDG_RUNTIME_DIR": str(tmp_path)})
    assert found.endpoint.path == str(tmp_path / "docker.sock")
    assert found.options.local


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('hosts = "x"', '"hosts" is not a setting'),
        ("host = 5", "must be a string"),
        ('host = "ssh://x"', "ssh -L"),
        ("nonsense", "not TOML"),
        ('infra-command = "sleep"', "must be a list of strings"),
        ('local = "yes"', "must be true or false"),
        ("log-max-files = 0", "1 or more"),
        ('cpu = "many"', "not a quantity"),
        ('tls-ca = "/none.pem"\nhost = "tcp://h"', "/none.pem"),
        ('registry-config = "/none.json"', "/none.json"),
    ],
)
def test_what_is_wrong_is_named_in_one_line(tmp_path, text, named):
    with pytest.raises(ConfigError, match=named) as caught:
        settings(tmp_path, text, {"DOCKER_HOST": "unix:///x"})
    assert "\n" not in str(caught.value)


def test_an_engine_elsewhere_cannot_have_files_of_this_node(tmp_path):
    path = tmp_path / "docker.toml"
    path.write_text('host = "tcp://127.0.0.1:1"')
    provider = create(
        ProviderConfig(node_name="n", config_path=str(path), state_dir=str(tmp_path), environ={})
    )

    def check(*volumes):
        metadata = {"namespace": "d", "name": "p", "uid": "u"}
        provider._driver._storage.check(
            {"metadata": metadata, "spec": {"containers": [], "volumes": list(volumes)}}
        )

    check(
        {"name": "a", "emptyDir": {}}, {"name": "t", "projected": {"sources": [{"serviceAccountToken": {}}]}}
    )
    for volume in (
        {"configMap": {"name": "x"}},
        {"hostPath": {"path": "/"}},
        {"emptyDir": {"medium": "Memory"}},
    ):
        with pytest.raises(InvalidInput, match='volume "v"'):
            check({"name": "v", **volume})


def test_profiles_stay_in_their_directory(tmp_path):
    (tmp_path / "seccomp").mkdir()
    (tmp_path / "seccomp/a.json").write_text("{}")
    (tmp_path / "secret").write_text("x")
    read = profile_reader(str(tmp_path / "seccomp"))
    assert read("a.json") == "{}"
    for name in ("../secret", "none.json", ""):
        with pytest.raises(InvalidInput):
            read(name)
