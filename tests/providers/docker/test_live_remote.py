"""An engine that does not see this machine's files, and ports of the machine; on a real Podman."""

from __future__ import annotations

import contextlib
import socket

import pytest
from support.engine_node import container, make_pod, running_node
from support.exec_io import FakeForward
from support.podman import IMAGE
from support.process_pods import free_port
from support.waiting import eventually

from virtual_kubelet.errors import InvalidInput, ProviderError
from virtual_kubelet.providers.docker.provider import create
from virtual_kubelet.runtime.threads import spawn

pytestmark = [pytest.mark.live, pytest.mark.slow]

TOKEN = {"projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}


@pytest.fixture(scope="module")
def node(podman, tmp_path_factory):
    directory = tmp_path_factory.mktemp("remote")
    path = directory / "docker.toml"
    path.write_text(
        f'host = "unix://{podman.socket}"\nlocal = false\n'
        f'infra-image = "{IMAGE}"\ninfra-command = ["sleep", "1000000"]\n'
    )
    with running_node(create, directory / "state", str(path)) as found:
        eventually(found.ready)
        yield found


@pytest.mark.parametrize(
    ("volume", "named"),
    [
        ({"configMap": {"name": "c"}}, 'volume "v" is a configMap: it is made of files of this node'),
        ({"secret": {"secretName": "s"}}, 'volume "v" is a secret'),
        ({"hostPath": {"path": "/etc"}}, 'volume "v" is a hostPath'),
        ({"downwardAPI": {"items": []}}, 'volume "v" is a downwardAPI'),
        ({"emptyDir": {"medium": "Memory"}}, "medium Memory, which an engine elsewhere cannot share"),
    ],
)
def test_files_of_this_machine_are_refused_by_name(node, volume, named):
    with pytest.raises(InvalidInput, match=named):
        node.provider.create_pod(make_pod(volumes=[{"name": "v", **volume}]))


def test_containers_share_a_volume_of_the_engine(node, podman):
    mounts = [{"name": "v", "mountPath": "/data"}, {"name": "token", "mountPath": "/token"}]
    pod = node.run(
        make_pod(
            container("until [ -e /data/word ]; do sleep 0.1; done; cat /data/word", volumeMounts=mounts),
            container("echo shared > /data/word", "other", volumeMounts=mounts),
            volumes=[{"name": "v", "emptyDir": {}}, {"name": "token", **TOKEN}],
        )
    )
    eventually(lambda: node.phase(pod) == "Succeeded", 40)
    assert node.logs(pod) == "shared\n"
    eventually(lambda: node.over(pod))
    node.delete(pod, 0)
    eventually(lambda: not podman.run("volume", "ls", "--quiet").stdout.strip())


def test_messages_come_from_the_log(node):
    item = container("echo last words; exit 3", terminationMessagePolicy="FallbackToLogsOnError")
    pod = node.run(make_pod(item))
    eventually(lambda: node.phase(pod) == "Failed", 40)
    assert node.state(pod)["terminated"]["message"] == "last words\n"
    node.delete(pod, 0)


def test_ports_are_reached_at_the_pods_address(node):
    pod = node.run(make_pod(container("mkdir /www; echo answer > /www/a; exec httpd -f -p 7000 -h /www")))
    node.wait_state(pod, "running", timeout=40)
    namespace, name, uid, _ = node.ref(pod)

    def forward():
        stream = FakeForward()
        thread = spawn(_forward, node, namespace, name, uid, stream, name="forward")
        try:
            stream.send(b"GET /a HTTP/1.0\r\n\r\n")
            eventually(lambda: stream.ended.is_set() or not thread.is_alive())
        finally:
            stream.close()
        thread.join(30)
        return b"answer\n" in bytes(stream.out)

    eventually(forward)
    node.delete(pod, 0)


def _forward(node, namespace, name, uid, stream):
    with contextlib.suppress(ProviderError):
        node.provider.port_forward(namespace, name, uid, 7000, stream)


def test_a_port_of_the_machine(node):
    port = free_port()
    item = container("while :; do echo from the pod | nc -l -p 8080; done")
    item["ports"] = [{"containerPort": 8080, "hostPort": port}]
    pod = node.run(make_pod(item))
    node.wait_state(pod, "running", timeout=40)
    assert eventually(lambda: _answer(port), 40) == b"from the pod\n"
    node.delete(pod, 0)


def _answer(port):
    try:
        with socket.create_connection(("127.0.0.1", port), 2) as connection:
            connection.settimeout(2)
            return connection.recv(100)
    except OSError:
        return b""
