"""Pods whose containers share an infra container's network, while infra containers die unheard."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from support.fake_engine import FakeEngine
from support.pod_context import FakeContext

from virtual_kubelet.podruntime.driver import ContainerRequest, SandboxChanged
from virtual_kubelet.podruntime.operations import labels_of
from virtual_kubelet.provider import ProviderConfig
from virtual_kubelet.providers.docker import config as docker_config
from virtual_kubelet.providers.docker.provider import driver_of
from virtual_kubelet.providers.engine import labels
from virtual_kubelet.runtime.threads import Deadline

CONTAINER = {"name": "c", "image": "r.io/x"}
POD = {"metadata": {"namespace": "d", "name": "web", "uid": "u"}, "spec": {"containers": [CONTAINER]}}
LABELS = labels_of(POD, CONTAINER, 0, "node-1", "cluster-1")
MEMBER, INFRA = labels.of_container(LABELS), labels.of_infra(POD, "node-1", "cluster-1")


class Containers:
    """An engine's containers; each that is started has an address that none had before."""

    def __init__(self, engine):
        self.labels = {}  # by id
        self.addresses = {}  # of those that run, by id
        self.starts = 0
        self.killed = []
        self.bodies = []  # what was asked to be made
        engine.answers.update({"GET": self._get, "POST": self._post, "DELETE": self._delete})

    def put(self, key, own, running=True):
        self.labels[key] = own
        if running:
            self.starts += 1
            self.addresses[key] = f"10.0.0.{self.starts}"

    def end(self, key):
        del self.addresses[key]

    def _item(self, key):
        return {
            "Id": key,
            "State": "running" if key in self.addresses else "exited",
            "Labels": self.labels[key],
        }

    def _get(self, asked, _):
        path, key = asked["path"], asked["path"].removeprefix("/containers/").removesuffix("/json")
        if path == "/containers/json":
            wanted = dict(item.split("=", 1) for item in json.loads(asked["query"]["filters"])["label"])
            return 200, [self._item(key) for key, own in self.labels.items() if wanted.items() <= own.items()]
        if key in self.labels:
            running = key in self.addresses
            state = {"Status": "running" if running else "exited", "Running": running}
            settings = {"IPAddress": self.addresses.get(key, "")}
            config = {"Labels": self.labels[key]}
            return 200, {"Id": key, "Config": config, "State": state, "NetworkSettings": settings}
        if path.startswith("/images/"):
            return 200, {"Id": "sha256:1", "Config": {}}
        return (200, {}) if path in {"/_ping", "/info"} else None

    def _post(self, asked, _):
        if asked["path"] == "/containers/create":
            self.bodies.append(asked["body"])
            key = f"made-{len(self.bodies)}"
            self.put(key, asked["body"]["Labels"], running=False)
            return 201, {"Id": key}
        key, action = asked["path"].split("/")[2:]
        if action == "start":
            self.put(key, self.labels[key])
        elif key in self.addresses:
            self.end(key)
            self.killed.append(key)
        else:
            return 409, {"message": "it is not running"}
        return 204, b""

    def _delete(self, asked, _):
        del self.labels[asked["path"].split("/")[2]]
        return 204, b""


@pytest.fixture
def engine(tmp_path):
    with FakeEngine(tmp_path / "engine.sock") as found:
        yield found


@pytest.fixture
def containers(engine):
    return Containers(engine)


@pytest.fixture
def driver(engine, containers, tmp_path):
    environ = {"DOCKER_HOST": f"unix://{engine.path}"}
    config = ProviderConfig(node_name="node-1", state_dir=str(tmp_path), environ=environ)
    found = driver_of(docker_config.load(config, "docker"))
    found.bind(FakeContext())
    yield found
    found.close(Deadline(5))


def request(sandbox, directory=""):
    return ContainerRequest(
        pod=POD, container=CONTAINER, attempt=0, sandbox=sandbox, command=(), args=(), environment={},
        directory=str(directory), image="r.io/x", image_id="sha256:1", labels=LABELS,
    )  # fmt: skip


def test_members_of_one_that_died_unheard_are_killed(driver, containers):
    sandbox = driver.prepare_pod(POD)
    containers.put("member", MEMBER)
    driver.list_containers()
    assert containers.killed == []
    containers.end(sandbox.id)
    driver.list_containers()
    assert containers.killed == ["member"]


def test_members_of_one_that_died_while_there_was_no_agent_are_killed(driver, containers):
    containers.put("ended", INFRA, running=False)
    containers.put("member", MEMBER)
    driver.list_containers()
    sandbox = driver.prepare_pod(POD)
    assert containers.killed == ["member"]
    assert containers.labels.keys() == {"member", sandbox.id}


def test_nothing_is_made_with_the_address_of_a_network_that_is_no_more(driver, containers):
    sandbox = driver.prepare_pod(POD)
    containers.put("member", MEMBER)
    driver.list_containers()
    containers.end(sandbox.id)
    with pytest.raises(SandboxChanged, match="has begun anew"):
        driver.create(request(sandbox))
    assert containers.killed == ["member"]
    again = driver.prepare_pod(POD)
    assert (again.id, again.ips) == (sandbox.id, (containers.addresses[sandbox.id],))
    assert containers.labels[driver.create(request(again))] == MEMBER


def test_a_network_that_is_gone_is_made_again(driver, containers):
    sandbox = driver.prepare_pod(POD)
    containers.end(sandbox.id)
    del containers.labels[sandbox.id]
    with pytest.raises(SandboxChanged, match="is gone"):
        driver.create(request(sandbox))
    assert driver.prepare_pod(POD).id in containers.addresses


def test_what_somebody_else_removes_while_it_runs_is_looked_for(engine, driver, containers):
    containers.put("member", MEMBER)
    driver.list_containers()
    looks = threading.Semaphore(0)

    class Listener:
        lost_track = looks.release

    def events(_, handler):
        handler.send_response(200)
        handler.end_headers()
        event = {"Type": "container", "Action": "destroy", "Actor": {"ID": "member", "Attributes": MEMBER}}
        handler.wfile.write(json.dumps(event).encode() + b"\n")
        handler.wfile.flush()
        engine.hold.wait(60)
        return None, b""

    engine.answers["GET", "/events"] = events
    driver.open(Listener())
    assert looks.acquire(timeout=30)  # at the beginning
    assert looks.acquire(timeout=30)


def test_a_hosts_file_is_whole_or_not_there(driver, containers, tmp_path, monkeypatch):
    sandbox = driver.prepare_pod(POD)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", _write_nothing)
        with pytest.raises(OSError, match="No space left"):
            driver.create(request(sandbox, tmp_path / "c"))
    driver.create(request(sandbox, tmp_path / "c"))
    (mount,) = containers.bodies[-1]["HostConfig"]["Mounts"]
    assert mount["Target"] == "/etc/hosts"
    assert "localhost" in Path(mount["Source"]).read_text()


def _write_nothing(path, *_, **__):
    path.touch()
    raise OSError(28, "No space left on device")
