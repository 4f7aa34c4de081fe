"""The provider against a service that knows API 1.23 and nothing else, and refuses what is not signed."""

from __future__ import annotations

import contextlib
import json
import socket
import time

import pytest
from support.engine_node import container, make_pod, running_node
from support.exec_io import FakeForward, FakeIO
from support.hyper.server import FakeHyper
from support.pods import OFTEN
from support.waiting import eventually

from virtual_kubelet.errors import InvalidInput, NotFound, ProviderError
from virtual_kubelet.provider import TerminalSize
from virtual_kubelet.providers.hyper.provider import create
from virtual_kubelet.runtime.threads import spawn

IMAGE = "busybox:1"


def part(script="exec sleep 1000", name="c", **fields):
    return container(script, name, image=IMAGE, **fields)


@pytest.fixture
def service():
    with FakeHyper() as found:
        yield found
    assert not found.violations


@pytest.fixture
def environ(service):
    return {
        "HYPER_HOST": f"tcp://127.0.0.1:{service.port}",
        "HYPER_ACCESS_KEY": "AKID",
        "HYPER_SECRET_KEY": "SECRET",
    }


@pytest.fixture
def node(service, environ, tmp_path):
    with running_node(create, tmp_path / "state", "", environ=environ) as found:
        eventually(found.ready)
        yield found


def running(node, pod, name="c"):
    node.run(pod)
    node.wait_state(pod, "running", name, timeout=30)
    return pod


def waits(node, pod):
    """Return why the pod's container does not run yet; "" where that has not been told."""
    return node.state(pod).get("waiting", {}).get("reason", "")


def is_true(node, pod, kind):
    """Tell whether a condition of the pod holds."""
    conditions = node.status(pod).get("conditions", [])
    return any(item["type"] == kind and item["status"] == "True" for item in conditions)


def removed(node, pod, left):
    """Have a pod gone, as the agent does: once told, and asked again for what has ended."""
    node.context.api_pods = []
    node.delete(pod, 1)
    eventually(lambda: node.over(pod))
    with contextlib.suppress(NotFound):  # the provider's own housekeeping may have come first
        node.delete(pod, 0)
    eventually(lambda: not left)


def test_a_pods_life(service, node):
    pod = make_pod(part("echo out; echo err >&2; exit 3"), part("exec sleep 1000", "other"))
    running(node, pod, "other")
    ended = node.wait_state(pod, "terminated", timeout=30)
    assert (ended["exitCode"], ended["reason"]) == (3, "Error")
    assert node.status(pod)["podIP"] == "127.0.0.1"
    bodies = {
        item.body["Labels"]["io.kubernetes.container.name"]: item.body for item in service.containers.values()
    }
    labels = bodies["c"]["Labels"]
    metadata = pod["metadata"]
    assert labels["io.kubernetes.pod.uid"] == metadata["uid"]
    assert labels["io.kubernetes.pod.namespace"] == "default"
    assert labels["virtual-kubelet.io/node"] == "node-1"
    assert labels["hyper-virtual-kubelet"] == labels["io.kubernetes.pod.name"] == metadata["name"]
    assert labels["sh_hyper_instancetype"] == "s4"
    removed(node, pod, service.containers)
    assert sum(path == "/events" for _, path, _ in service.asked) == 1


def lists_since_the_last_look(service):
    """Return how often the service was asked for the list since it was last asked for one thing."""
    lists = 0
    for _, path, _ in reversed([*service.asked]):
        if path == "/containers/json":
            lists += 1
        elif path.endswith("/json"):
            break
    return lists


def test_only_what_changes_is_looked_at(service, node):
    running(node, make_pod(part()))
    # A look that belongs to the start, or to a list of that time, may still come.
    eventually(lambda: lists_since_the_last_look(service) >= 2)


def test_logs_with_all_options(service, node):
    pod = make_pod(part("echo one; echo two >&2; read line; echo three; exec sleep 1000", stdin=True))
    running(node, pod)
    eventually(lambda: node.logs(pod).count("\n") == 2)  # of two streams: in the order of their arrival
    io = FakeIO(stdin=True)
    io.type(b"go on\n")
    io.end_input()
    thread = spawn(node.provider.attach_to_container, *node.ref(pod), io, name="attach")
    eventually(lambda: node.logs(pod).count("\n") == 3)
    io.close()
    thread.join(30)
    assert sorted(node.logs(pod).split()) == ["one", "three", "two"]
    assert node.logs(pod, tail=1) == "three\n"
    assert node.logs(pod, tail=0) == ""
    assert node.logs(pod, limit_bytes=3) in {"one", "two"}
    assert node.logs(pod, stream="Stderr") == "two\n"
    assert node.logs(pod, since=time.time() + 100.5) == ""
    assert node.logs(pod, since=time.time() - 100.5).count("\n") == 3
    stamped = node.logs(pod, timestamps=True, tail=1)
    assert stamped.endswith(" three\n")
    assert stamped[:4].isdigit()


def test_exec(service, node):
    pod = running(node, make_pod(part()))
    io = FakeIO(stdin=True)
    io.type(b"typed")
    io.end_input()
    code = node.provider.exec_in_container(*node.ref(pod), ["sh", "-c", "cat; echo err >&2; exit 7"], io)
    assert (code, bytes(io.out), bytes(io.err)) == (7, b"typed", b"err\n")
    terminal = FakeIO(stdin=True, tty=True)
    terminal.resize(TerminalSize(width=111, height=44))
    script = 'until [ "$(stty size)" = "44 111" ]; do sleep 0.05; done; echo resized; exit 5'
    code = node.provider.exec_in_container(*node.ref(pod), ["sh", "-c", script], terminal)
    terminal.resize(None)
    assert (code, b"resized" in terminal.out) == (5, True)
    terminal.close()


def test_attach(service, node):
    pod = running(node, make_pod(part("read line; echo got $line; exec sleep 1000", stdin=True)))
    io = FakeIO(stdin=True)
    thread = spawn(node.provider.attach_to_container, *node.ref(pod), io, name="attach")
    io.type(b"this\n")
    eventually(lambda: b"got this" in io.out)
    io.end_input()
    io.close()
    thread.join(30)


def test_a_port(service, node):
    pod = running(node, make_pod(part()))
    namespace, name, uid, _ = node.ref(pod)
    with socket.create_server(("127.0.0.1", 0)) as listener:  # the container's address is this machine's
        stream, port = FakeForward(), listener.getsockname()[1]
        thread = spawn(node.provider.port_forward, namespace, name, uid, port, stream, name="forward")
        listener.settimeout(30)
        peer, _ = listener.accept()
        with peer:
            peer.sendall(b"hello")
            eventually(lambda: bytes(stream.out) == b"hello")
        stream.close()
        thread.join(30)


@pytest.mark.parametrize(
    ("publish", "bound"), [("all", {"80/tcp": "80", "81/udp": "8081"}), ("hostPort", {"81/udp": "8081"})]
)
def test_published_ports(service, environ, tmp_path, publish, bound):
    ports = [{"containerPort": 80}, {"containerPort": 81, "hostPort": 8081, "protocol": "UDP"}]
    with running_node(
        create, tmp_path / "state", "", environ={**environ, "HYPER_PUBLISH_PORTS": publish}
    ) as node:
        running(node, make_pod(part(ports=ports)))
        (made,) = service.containers.values()
        bindings = made.body["HostConfig"]["PortBindings"]
        assert {name: item["HostPort"] for name, (item,) in bindings.items()} == bound
        assert made.body["ExposedPorts"] == {"80/tcp": {}, "81/udp": {}}


def test_probes_go_to_the_containers_own_address(service, node):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        probe = {"tcpSocket": {"port": port}, **OFTEN}
        pod = running(node, make_pod(part(readinessProbe=probe), part("exec sleep 1000", "other")))
        eventually(lambda: all(item["ready"] for item in node.containers(pod).values()), 30)


def test_init_containers_share_volumes_with_the_others(service, node):
    mount = {"volumeMounts": [{"name": "data", "mountPath": "/data"}]}
    first = part("exit 0", "first", **mount)
    pod = running(
        node, make_pod(part(**mount), initContainers=[first], volumes=[{"name": "data", "emptyDir": {}}])
    )
    binds = {bind for item in service.containers.values() for bind in item.body["HostConfig"]["Binds"]}
    assert len(service.containers) == 2
    assert binds == {f"{name}:/data" for name in service.volumes}
    assert node.state(pod, "first", "initContainerStatuses")["terminated"]["exitCode"] == 0


def test_numbers(service, node):
    pod = running(node, make_pod(part()))
    (found,) = eventually(lambda: node.provider.stats_summary()["pods"])
    assert found["podRef"]["uid"] == pod["metadata"]["uid"]
    assert found["containers"][0]["memory"]["workingSetBytes"] == 2**20


@pytest.mark.parametrize("inspectable", [True, False])
def test_images(service, node, inspectable):
    service.inspectable = inspectable
    pod = make_pod(container("exit 0", image="busybox:2"))
    node.run(pod)
    node.wait_phase(pod, "Succeeded", 30)
    refused = make_pod(container(image="private/app:1"))
    node.run(refused)
    waiting = eventually(
        lambda: (
            (state := node.state(refused).get("waiting") or {}).get("reason")
            in {"ErrImagePull", "ImagePullBackOff"}
            and state
        ),
        20,
    )
    assert "access denied" in waiting["message"]


def test_credentials_of_the_command_line(service, environ, tmp_path):
    cloud = {"accesskey": "AKID", "secretkey": "SECRET", "region": "us-west-1"}
    auths = {"https://index.docker.io/v1/": {"auth": "dTpw", "email": "e"}}
    (tmp_path / "config.json").write_text(
        json.dumps({"clouds": {environ["HYPER_HOST"]: cloud}, "auths": auths})
    )
    with running_node(
        create, tmp_path / "state", str(tmp_path), environ={"HYPER_HOST": environ["HYPER_HOST"]}
    ) as node:
        pod = make_pod(container("exit 0", image="private/app:1"))
        node.run(pod)
        node.wait_phase(pod, "Succeeded", 30)


def test_volumes_go_with_their_pod(service, node):
    mount = {"volumeMounts": [{"name": "data", "mountPath": "/data"}]}
    volumes = [{"name": "data", "emptyDir": {"sizeLimit": "20Gi"}}]
    pod = running(node, make_pod(part(**mount), volumes=volumes))
    ((name, volume),) = service.volumes.items()
    assert volume["Labels"] == {"size": "22", "snapshot": ""}
    (made,) = service.containers.values()
    assert made.body["HostConfig"]["Binds"] == [f"{name}:/data"]
    removed(node, pod, service.volumes)


def test_a_failing_container_is_started_again(service, node):
    pod = make_pod(part("exit 1"), restartPolicy="OnFailure")
    node.run(pod)
    eventually(lambda: node.containers(pod).get("c", {}).get("restartCount", 0) >= 1, 40)
    last = node.containers(pod)["c"]["lastState"]["terminated"]
    assert last["exitCode"] == 1


def test_what_cannot_be_executed(service, node):
    pod = make_pod({"name": "c", "image": IMAGE, "command": ["/nosuch"]})
    node.run(pod)
    node.wait_phase(pod, "Failed", 20)
    assert "not found" in node.state(pod)["terminated"]["message"]


def test_another_agent_takes_over(service, environ, tmp_path):
    with running_node(create, tmp_path / "state", "", environ=environ) as first:
        pod = running(first, make_pod(part()))
        before = [*service.containers]
        first.close()
        with running_node(create, tmp_path / "state", "", environ=environ, context=first.context) as second:
            second.run(pod)
            second.wait_state(pod, "running", timeout=60)
            assert [*service.containers] == before
            removed(second, pod, service.containers)


def test_another_agent_starts_what_the_last_one_only_made(service, environ, tmp_path):
    service.busy = True
    with running_node(create, tmp_path / "state", "", environ=environ) as first:
        pod = make_pod(part())
        first.run(pod)
        eventually(lambda: waits(first, pod) == "RunContainerError")
        with pytest.raises(NotFound, match="waiting to start"):
            first.logs(pod)
        first.close()
        made = [*service.containers]
        with running_node(create, tmp_path / "state", "", environ=environ, context=first.context) as second:
            eventually(lambda: waits(second, pod) == "RunContainerError")
            service.busy = False
            second.wait_state(pod, "running", timeout=40)
            assert [*service.containers] == made
            removed(second, pod, service.containers)


def test_a_pod_that_is_found_in_its_init_container_is_not_past_it(service, environ, tmp_path):
    gate, done = tmp_path / "gate", tmp_path / "done"
    first_of_all = part(f"until [ -e {gate} ]; do sleep 0.05; done; sleep 1; touch {done}", "first")
    main = part(f"[ -e {done} ] || exit 9; exec sleep 1000")
    with running_node(create, tmp_path / "state", "", environ=environ) as first:
        pod = make_pod(main, initContainers=[first_of_all])
        first.run(pod)
        first.wait_state(pod, "running", "first", "initContainerStatuses", timeout=60)
        first.close()
        lost = tmp_path / "another state directory"
        with running_node(create, lost, "", environ=environ, context=first.context) as second:
            second.wait_state(pod, "running", "first", "initContainerStatuses", timeout=60)
            eventually(lambda: is_true(second, pod, "PodReadyToStartContainers"))
            gate.touch()
            second.wait_state(pod, "running", timeout=40)
            assert len(service.containers) == 2
            removed(second, pod, service.containers)


def test_a_clock_that_is_off(service, node):
    now = time.time() + 360
    service.verifier.now = lambda: now
    with pytest.raises(ProviderError, match="5 minutes"):
        node.provider.ping()
    service.verifier.now = time.time


def test_what_the_service_has_not(service, node):
    owner = {"kind": "DaemonSet", "name": "d", "uid": "u"}
    pod = make_pod(part())
    pod["metadata"]["ownerReferences"] = [owner]
    with pytest.raises(InvalidInput, match="DaemonSet"):
        node.provider.create_pod(pod)
    huge = [{"name": "v", "emptyDir": {"sizeLimit": "2Ti"}}]
    with pytest.raises(InvalidInput, match="largest volume"):
        node.provider.create_pod(make_pod(part(), volumes=huge))
    assert not service.containers
