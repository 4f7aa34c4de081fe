"""Volumes of an engine elsewhere go with the last container that holds them."""

from __future__ import annotations

import pytest
from support.fake_engine import FakeEngine
from support.pod_context import FakeContext

from virtual_kubelet.provider import ProviderConfig
from virtual_kubelet.providers.docker import config as docker_config
from virtual_kubelet.providers.docker.provider import driver_of
from virtual_kubelet.providers.engine import labels
from virtual_kubelet.runtime.threads import Deadline

POD = {"metadata": {"namespace": "d", "name": "web", "uid": "u"}, "spec": {"containers": []}}


@pytest.fixture
def engine(tmp_path):
    with FakeEngine(tmp_path / "engine.sock") as found:
        yield found


@pytest.fixture
def driver(engine, tmp_path):
    (tmp_path / "docker.toml").write_text(f'host = "unix://{engine.path}"\nlocal = false\n')
    config = ProviderConfig(
        node_name="node-1", state_dir=str(tmp_path), config_path=str(tmp_path / "docker.toml")
    )
    found = driver_of(docker_config.load(config, "docker"))
    found.bind(FakeContext())
    yield found
    found.close(Deadline(5))


def test_a_volume_that_is_held_is_removed_with_its_holder(engine, driver):
    name = labels.volume_name(labels.volume_prefix("node-1", "cluster-1", "u"), "data")
    others = labels.volume_name(labels.volume_prefix("node-1", "cluster-1", "u-2"), "data")
    member = {
        "Id": "c1",
        "State": {"Status": "exited"},
        "Config": {
            "Labels": labels.of_container(
                {
                    "node": "node-1", "cluster": "cluster-1", "namespace": "d", "pod": "web", "uid": "u",
                    "container": "c", "attempt": "0", "image": "x",
                }
            )
        },
    }  # fmt: skip
    engine.answers["GET", "/containers/json"] = (200, [])
    engine.answers["GET", "/containers/c1/json"] = (200, member)
    engine.answers["GET", "/volumes"] = (200, {"Volumes": [{"Name": name}, {"Name": others}]})
    engine.answers["DELETE", f"/volumes/{name}"] = (409, {"message": "volume is in use"})
    driver.release_pod("u")
    engine.answers["DELETE", f"/volumes/{name}"] = (204, b"")
    engine.answers["DELETE", "/containers/c1"] = (204, b"")
    before = len(engine.paths("DELETE"))
    driver.remove("c1")
    assert [path for path in engine.paths("DELETE")[before:] if "volumes" in path] == [f"/volumes/{name}"]
