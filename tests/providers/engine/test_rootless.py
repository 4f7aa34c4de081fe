"""An engine that runs without root says so; what its pods cannot have is refused with the remedy."""

from __future__ import annotations

import pytest
from support.fake_engine import FakeEngine
from support.pod_context import FakeContext

from virtual_kubelet.errors import InvalidInput
from virtual_kubelet.provider import ProviderConfig
from virtual_kubelet.providers.docker import config as docker_config
from virtual_kubelet.providers.docker.provider import driver_of
from virtual_kubelet.runtime.threads import Deadline

ROOTLESS = {"SecurityOptions": ["name=seccomp,profile=default", "name=rootless"]}


def pod(probe, **spec):
    container = {"name": "c", "image": "r.io/x", "readinessProbe": probe}
    return {
        "metadata": {"namespace": "d", "name": "web", "uid": "u"},
        "spec": {"containers": [container], **spec},
    }


@pytest.fixture(params=[ROOTLESS, {"Rootless": True}])
def driver(request, tmp_path):
    with FakeEngine(tmp_path / "engine.sock") as engine:
        engine.answers["GET", "/info"] = (200, request.param)
        environ = {"DOCKER_HOST": f"unix://{engine.path}"}
        config = ProviderConfig(node_name="n", state_dir=str(tmp_path), environ=environ)
        found = driver_of(docker_config.load(config, "docker"))
        found.bind(FakeContext())
        yield found
        found.close(Deadline(5))


@pytest.mark.parametrize(
    "probe", [{"httpGet": {"port": 80}}, {"tcpSocket": {"port": 80}}, {"grpc": {"port": 80}}]
)
def test_probes_that_connect_are_refused(driver, probe):
    with pytest.raises(InvalidInput, match="readinessProbe connects to the pod") as caught:
        driver.check(pod(probe))
    assert "use an exec probe, hostNetwork, or a rootful engine" in str(caught.value)


def test_what_can_be_had_is_taken(driver):
    driver.check(pod({"exec": {"command": ["true"]}}))
    driver.check(pod({"httpGet": {"port": 80}}, hostNetwork=True))
