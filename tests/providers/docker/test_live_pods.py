"""What a pod may ask for, on real containers; without an API server."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from support.engine_node import container, make_pod, running_node
from support.exec_io import FakeForward, FakeIO
from support.podman import IMAGE
from support.pods import OFTEN
from support.waiting import eventually

from virtual_kubelet.errors import InvalidInput, ProviderError
from virtual_kubelet.provider import TerminalSize
from virtual_kubelet.providers.docker.provider import create
from virtual_kubelet.runtime.threads import spawn

pytestmark = [pytest.mark.live, pytest.mark.slow]


@pytest.fixture(scope="module")
def node(podman, tmp_path_factory):
    directory = tmp_path_factory.mktemp("node")
    path = directory / "docker.toml"
    path.write_text(
        f'host = "unix://{podman.socket}"\ninfra-image = "{IMAGE}"\ninfra-command = ["sleep", "1000000"]\n'
    )
    with running_node(create, directory / "state", str(path)) as found:
        eventually(found.ready)
        yield found


def output(node, pod, name="c", **options):
    """Return the log of a pod that ends by itself, and have it gone."""
    node.run(pod)
    eventually(
        lambda: node.phase(pod) in {"Succeeded", "Failed"},
        40,
        f"{node.status(pod)} {node.context.events[-3:]}",
    )
    text = node.logs(pod, name, **options)
    node.delete(pod, 0)
    return text


def running(node, pod, name="c"):
    node.run(pod)
    node.wait_state(pod, "running", name, timeout=40)
    return pod


def test_names_hosts_and_dns(node):
    node.context.cluster_dns = ("10.96.0.10",)
    script = "hostname; cat /etc/hosts /etc/resolv.conf"
    text = output(
        node,
        make_pod(
            container(script),
            hostname="other",
            subdomain="sub",
            hostAliases=[{"ip": "1.2.3.4", "hostnames": ["foo", "bar"]}],
            dnsConfig={"searches": ["example.com"], "options": [{"name": "timeout", "value": "1"}]},
        ),
    )
    node.context.cluster_dns = ()
    assert text.startswith("other\n")
    assert "1.2.3.4\tfoo\tbar" in text
    assert "other.sub.default.svc.cluster.local\tother" in text
    assert "nameserver 10.96.0.10" in text
    assert "search default.svc.cluster.local svc.cluster.local cluster.local example.com" in text
    assert "ndots:5" in text
    assert "timeout:1" in text


def test_who_a_container_runs_as_and_what_it_may(node):
    script = "id; grep -E 'CapEff|NoNewPrivs' /proc/self/status; touch /x || echo read-only; cat /proc/sys/net/ipv4/ip_unprivileged_port_start"
    context = {
        "runAsUser": 1000,
        "runAsGroup": 1001,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
        "allowPrivilegeEscalation": False,
    }
    pod_context = {
        "fsGroup": 2000,
        "supplementalGroups": [3000],
        "sysctls": [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "80"}],
    }
    text = output(node, make_pod(container(script, securityContext=context), securityContext=pod_context))
    assert "uid=1000" in text
    assert "gid=1001" in text
    assert "2000" in text
    assert "3000" in text
    assert "CapEff:\t0000000000000000" in text
    assert "NoNewPrivs:\t1" in text
    assert "read-only" in text
    assert "80" in text.splitlines()


def test_root_is_refused_where_the_pod_forbids_it(node):
    pod = node.run(make_pod(container(securityContext={"runAsNonRoot": True})))
    waiting = node.wait_state(pod, "waiting")
    eventually(lambda: "runAsNonRoot" in node.state(pod).get("waiting", {}).get("message", ""))
    assert waiting
    node.delete(pod, 0)


def test_resources_become_cgroups(node):
    script = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max"
    limits = {"limits": {"memory": "64Mi", "cpu": "500m"}}
    assert output(node, make_pod(container(script, resources=limits))).strip() == str(64 * 1024 * 1024)


def test_volumes_and_messages(node):
    node.context.config_maps["settings"] = {"a.txt": "first"}
    mounts = [
        {"name": "data", "mountPath": "/data"},
        {"name": "settings", "mountPath": "/settings", "readOnly": True},
        {"name": "settings", "mountPath": "/one.txt", "subPath": "a.txt"},
    ]
    script = "cat /data/x /settings/a.txt /one.txt; echo done > /dev/termination-log; exit 4"
    pod = make_pod(
        container(script, volumeMounts=mounts),
        initContainers=[container("echo -n init > /data/x", "i", volumeMounts=mounts[:1])],
        volumes=[{"name": "data", "emptyDir": {}}, {"name": "settings", "configMap": {"name": "settings"}}],
    )
    node.run(pod)
    ended = node.wait_state(pod, "terminated", timeout=40)
    assert (ended["exitCode"], ended["message"]) == (4, "done\n")
    assert node.logs(pod) == "initfirstfirst"
    node.delete(pod, 0)


def test_logs_with_all_options(node):
    script = "echo one; echo two >&2; read line; echo -n part; sleep 0.2; echo ed; echo last"
    pod = node.run(make_pod(container(script, stdin=True)))
    node.wait_state(pod, "running", timeout=40)
    # The engine reads the two streams in no order: the rest is written when it has both lines.
    eventually(lambda: node.logs(pod).count("\n") == 2, 40)
    io = FakeIO(stdin=True)
    io.type(b"go on\n")
    io.end_input()
    node.provider.attach_to_container(*node.ref(pod), io)
    node.wait_phase(pod, "Succeeded", 40)
    whole = node.logs(pod)
    assert sorted(whole.splitlines()[:2]) == ["one", "two"]
    assert whole.endswith("\nparted\nlast\n")
    assert node.logs(pod, stream="Stderr") == "two\n"
    assert node.logs(pod, stream="Stdout", tail=1) == "last\n"
    assert node.logs(pod, tail=0) == ""
    assert node.logs(pod, limit_bytes=5) == whole[:5]
    lines = node.logs(pod, timestamps=True).splitlines()
    assert [line.partition(" ")[2] for line in lines] == whole.splitlines()
    assert node.logs(pod, since=node.state(pod)["terminated"] and 4e9) == ""
    assert node.logs(pod, since=1.0) == whole
    node.delete(pod, 0)


def test_what_cannot_be_executed_ends_at_once(node):
    pod = node.run(make_pod({"name": "c", "image": IMAGE, "command": ["/no/such/program"]}))
    ended = node.wait_state(pod, "terminated", timeout=40)
    assert ended["reason"] == "ContainerCannotRun"
    assert "no such" in ended["message"].lower()
    node.delete(pod, 0)


def test_images_that_cannot_be_had(node):
    pod = node.run(make_pod(container() | {"image": "localhost/never:1", "imagePullPolicy": "Never"}))
    eventually(lambda: node.state(pod).get("waiting", {}).get("reason") == "ErrImageNeverPull")
    node.delete(pod, 0)
    pod = node.run(make_pod(container() | {"image": "127.0.0.1:1/nothing:1"}))
    eventually(
        lambda: node.state(pod).get("waiting", {}).get("reason") in {"ErrImagePull", "ImagePullBackOff"}, 40
    )
    node.delete(pod, 0)


def test_a_terminal(node):
    pod = running(node, make_pod())
    io = FakeIO(stdin=True, tty=True)
    codes = []
    thread = spawn(
        lambda: codes.append(node.provider.exec_in_container(*node.ref(pod), ["sh"], io)), name="terminal"
    )
    io.type(b"echo he''llo\n")
    io.saw(b"hello")
    io.resize(TerminalSize(101, 37))
    eventually(lambda: (io.type(b"stty size\n"), threading.Event().wait(0.2), b"37 101" in bytes(io.out))[2])
    io.type(b"exit 5\n")
    thread.join(30)
    io.close()
    assert codes == [5]
    node.delete(pod, 0)


def test_a_command_ends_with_its_client(node):
    pod = running(node, make_pod())
    io = FakeIO()
    thread = spawn(
        lambda: node.provider.exec_in_container(
            *node.ref(pod), ["sh", "-c", "echo here; exec sleep 987"], io
        ),
        name="client",
    )
    io.saw(b"here")
    io.close()
    thread.join(30)
    assert not thread.is_alive()
    other = FakeIO()

    def gone():
        other.out.clear()
        node.provider.exec_in_container(*node.ref(pod), ["ps"], other)
        return b"sleep 987" not in bytes(other.out)

    eventually(gone)
    node.delete(pod, 0)


def test_attach(node):
    pod = running(node, make_pod(container("read line; echo got $line", stdin=True, stdinOnce=True)))
    io = FakeIO(stdin=True)
    thread = spawn(lambda: node.provider.attach_to_container(*node.ref(pod), io), name="attached")
    eventually(lambda: (io.type(b"text\n"), threading.Event().wait(0.2), b"got text" in bytes(io.out))[2])
    thread.join(30)
    io.close()
    assert not thread.is_alive()
    node.delete(pod, 0)


def test_ports_are_reached_as_the_pods_own_localhost(node):
    script = "mkdir /www; echo answer > /www/a; exec httpd -f -p 127.0.0.1:8080 -h /www"
    pod = running(node, make_pod(container(script)))
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
    with pytest.raises(ProviderError, match="connection refused"):
        node.provider.port_forward(namespace, name, uid, 9999, FakeForward())
    node.delete(pod, 0)


def _forward(node, namespace, name, uid, stream):
    try:
        node.provider.port_forward(namespace, name, uid, 8080, stream)
    except ProviderError:
        return


def test_probes_by_exec_and_by_port(node):
    script = "touch /ready; while true; do echo | nc -l -p 8080 >/dev/null; done"
    probe = {"exec": {"command": ["test", "-e", "/ready"]}, **OFTEN, "failureThreshold": 1}
    tcp = {"tcpSocket": {"port": 8080}, **OFTEN, "failureThreshold": 30}
    pod = running(node, make_pod(container(script, readinessProbe=probe, livenessProbe=tcp)))
    eventually(lambda: node.containers(pod)["c"]["ready"])
    node.provider.exec_in_container(*node.ref(pod), ["rm", "/ready"], FakeIO())
    eventually(lambda: not node.containers(pod)["c"]["ready"])
    node.delete(pod, 0)


def test_processes_are_shared_where_the_pod_says_so(node):
    pod = make_pod(container("exec sleep 4321", "a"), container(), shareProcessNamespace=True)
    running(node, pod)
    io = FakeIO()
    node.provider.exec_in_container(*node.ref(pod), ["ps"], io)
    assert b"sleep 4321" in bytes(io.out)
    node.delete(pod, 0)


def test_a_debug_container_joins_its_target(node):
    pod = running(node, make_pod(container("exec sleep 5432")))
    debug = {**container("ps; sleep 1000", "debug"), "targetContainerName": "c"}
    node.provider.update_pod({**pod, "spec": {**pod["spec"], "ephemeralContainers": [debug]}})
    node.wait_state(pod, "running", "debug", "ephemeralContainerStatuses", timeout=40)
    eventually(lambda: "sleep 5432" in node.logs(pod, "debug"))
    node.delete(pod, 0)


def test_host_network(node):
    pod = make_pod(container("readlink /proc/self/ns/net; hostname"), hostNetwork=True)
    namespace, name = output(node, pod).split()
    assert namespace == str(Path("/proc/self/ns/net").readlink())
    assert name == os.uname().nodename


def test_a_pod_outlives_the_container_that_holds_its_network(node, podman):
    pod = running(node, make_pod(restartPolicy="Always"))
    uid = pod["metadata"]["uid"]
    filters = (
        "--filter",
        f"label=io.kubernetes.pod.uid={uid}",
        "--filter",
        "label=virtual-kubelet.io/kind=infra",
    )

    def infra():
        return podman.run("ps", "--quiet", *filters).stdout.strip()

    # Not removed, with what depends on it: while we make a member anew, that has broken Podman 4.3's own store.
    podman.run("kill", infra())
    eventually(lambda: node.containers(pod)["c"]["restartCount"] == 1, 40)
    eventually(lambda: "running" in node.state(pod), 40)
    where = "{{.NetworkSettings.IPAddress}} {{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    address = podman.run("inspect", "--format", where, infra()).stdout.split()
    assert node.status(pod)["podIP"] in address
    node.delete(pod, 0)
    eventually(lambda: not infra())


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"securityContext": {"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}}, "sysctl"),
        ({"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "x"}}]}, "persistentVolumeClaim"),
    ],
)
def test_what_is_refused_by_name(node, changes, named):
    with pytest.raises(InvalidInput, match=named):
        node.provider.create_pod(make_pod(**changes))


def test_what_containers_use(node):
    pod = running(node, make_pod(container("while true; do :; done")))
    uid = pod["metadata"]["uid"]

    def usage():
        pods = node.provider.stats_summary()["pods"]
        found = next((item for item in pods if item["podRef"]["uid"] == uid), None)
        return found and found["cpu"].get("usageNanoCores", 0) > 0 and found["memory"]["workingSetBytes"] > 0

    eventually(usage)
    node.delete(pod, 0)


def test_nothing_is_left_of_deleted_pods(node, podman):
    pod = running(node, make_pod())
    uid = pod["metadata"]["uid"]
    node.context.api_pods = []
    node.delete(pod, 1)
    eventually(lambda: node.over(pod))
    node.delete(pod, 0)  # the agent asks once more for a pod that has ended
    query = ("ps", "--all", "--quiet", "--filter", f"label=io.kubernetes.pod.uid={uid}")
    eventually(lambda: not podman.run(*query).stdout.strip())
