"""The command as a user meets it: a process, its output, its exit code."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.ports import held_port
from support.waiting import eventually

from virtual_kubelet.devapi.server import ControlPlane
from virtual_kubelet.kube import config
from virtual_kubelet.kube.client import Client
from virtual_kubelet.kube.resources import NODES
from virtual_kubelet.runtime.threads import Deadline

HELLO = Path(__file__).parents[2] / "examples" / "hello.yaml"


def command(*words):
    return [sys.executable, "-m", "virtual_kubelet", *words]


def environment(**variables):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("KUBE", "VKUBELET"))}
    return {**kept, "HOME": "/nonexistent", "PYTHONWARNINGS": "error", **variables}


def run(*words, **variables):
    return subprocess.run(
        command(*words), env=environment(**variables), capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture
def control_plane(tmp_path):
    with held_port() as port:  # nobody takes it while the server is stopped
        server = ControlPlane(port=port)
        server.start()
        server.kubeconfig_path = str(tmp_path / "kubeconfig")
        server.write_kubeconfig(server.kubeconfig_path)
        yield server
        server.stop(Deadline(10))


@pytest.fixture
def client(control_plane):
    client = Client(config.load(control_plane.kubeconfig_path), qps=0)
    yield client
    client.close()


@pytest.mark.parametrize("words", [("version",), ("--version",)])
def test_version(words):
    result = run(*words)
    assert result.returncode == 0
    assert result.stdout.startswith("virtual-kubelet ")


def test_providers():
    result = run("providers")
    assert result.stdout.split()[:1] != []
    assert {"mock", "process"} <= set(result.stdout.split())
    assert run("providers", "mock").stdout == "mock\n"
    missing = run("providers", "nothing")
    assert missing.returncode == 1
    assert 'no such provider: "nothing"; installed are ' in missing.stderr
    assert missing.stderr.count("\n") == 1


def test_help_names_every_flag_with_its_variable():
    text = run("--help").stdout
    for expected in ("--provider-config", "$VKUBELET_POD_IP", "$DEFAULT_NODE_NAME", "--metrics-addr", "dev "):
        assert expected in text


@pytest.mark.parametrize(
    ("words", "code", "named"),
    [
        (("--color", "red"), 2, "--color"),
        (("--port", "ten"), 2, "--port"),
        (("--port",), 2, "--port"),
        (("--kubeconfig", "/nowhere"), 1, "/nowhere"),
        (("--kubeconfig", "/nowhere", "--os", "beos"), 2, "Beos"),
        (("--provider", "mock"), 1, "KUBECONFIG"),
        (("dev", "--provider", "magic"), 1, "magic"),
        (("dev", "--port", "x"), 2, "--port"),
        (("dev", "--apply", "/nowhere.yaml"), 1, "/nowhere.yaml"),
        (("--config", "/nowhere.toml"), 1, "/nowhere.toml"),
        (("version", "please"), 2, "please"),
    ],
)
def test_a_mistake_is_one_line_that_names_it(words, code, named):
    result = run(*words)
    assert result.returncode == code
    assert named in result.stderr
    assert result.stderr.count("\n") == 1, result.stderr


def test_mistakes_that_need_a_kubeconfig(control_plane, tmp_path):
    good = ("--kubeconfig", control_plane.kubeconfig_path, "--state-dir", str(tmp_path / "state"))
    (tmp_path / "mock.json").write_text("{")
    (tmp_path / "broken").write_text("a: [")
    for words, named in [
        (("--provider", "magic"), 'provider "magic" not found'),
        ((), "--provider"),
        (("--provider", "mock", "--provider-config", str(tmp_path / "mock.json")), "mock.json"),
        (("--provider", "mock", "--kubeconfig", str(tmp_path / "broken")), "broken"),
    ]:
        result = run(*good, *words)
        assert result.returncode == 1
        assert named in result.stderr
        assert "Traceback" not in result.stderr


def test_a_wrong_token_ends_with_one_line(control_plane, tmp_path):
    kubeconfig = str(tmp_path / "wrong")
    control_plane.write_kubeconfig(kubeconfig, "wrong-token")
    result = run(
        "--kubeconfig", kubeconfig, "--provider", "mock", "--state-dir", str(tmp_path), "--port", "0"
    )
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert "wrong-token" not in result.stderr


def test_flags_of_the_original_pass_with_a_word(control_plane, tmp_path):
    result = run(
        "--enable-node-lease",
        "--klog.v=2",
        "--trace-exporter",
        "jaeger",
        "--kubeconfig",
        control_plane.kubeconfig_path,
    )
    assert result.returncode == 1  # no provider was named
    assert "--enable-node-lease has no effect" in result.stderr
    assert "--klog.v has no effect" in result.stderr


def start_node(control_plane, tmp_path, *words):
    return subprocess.Popen(
        command(
            "--kubeconfig", control_plane.kubeconfig_path, "--provider", "mock", "--nodename", "edge",
            "--state-dir", str(tmp_path / "state"), "--port", "0", "--node-ip", "127.0.0.1", *words,
        ),
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip


def ready(client, name):
    nodes = client.list(NODES)["items"]
    conditions = [
        c for n in nodes if n["metadata"]["name"] == name for c in n["status"].get("conditions", [])
    ]
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_node_cleanly(number, control_plane, client, tmp_path):
    node = start_node(control_plane, tmp_path)
    try:
        eventually(lambda: ready(client, "edge"), 30)
        node.send_signal(number)
        _, said = node.communicate(timeout=30)
    finally:
        node.kill()
        node.wait()
    assert node.returncode == 0
    assert "Traceback" not in said
    assert ready(client, "edge")  # an upgrade of the agent must not evict anything


def test_an_unreachable_api_server_is_waited_for_as_long_as_told(tmp_path, control_plane):
    control_plane.stop(Deadline(10))
    result = run(
        "--kubeconfig", control_plane.kubeconfig_path, "--provider", "mock", "--state-dir", str(tmp_path),
        "--port", "0", "--startup-timeout", "1s",
    )  # fmt: skip
    assert result.returncode == 1
    assert "Traceback" not in result.stderr


def test_a_signal_ends_the_wait_for_the_api_server(tmp_path, control_plane):
    control_plane.stop(Deadline(10))
    node = start_node(control_plane, tmp_path)
    try:
        line = node.stderr.readline()  # it says that it waits
        assert "127.0.0.1" in line
        node.send_signal(signal.SIGTERM)
        node.communicate(timeout=60)
    finally:
        node.kill()
        node.wait()
    assert node.returncode == 0


def test_dev_runs_a_manifest_once():
    result = run("dev", "--provider", "mock", "--apply", str(HELLO), "--once")
    assert result.returncode == 0, result.stderr
    assert "pod          default/hello is Running" in result.stdout
    assert "hello | mock container hello started" in result.stdout


def test_dev_writes_a_kubeconfig_and_ends_with_ctrl_c(tmp_path):
    kubeconfig = tmp_path / "out"
    process = subprocess.Popen(
        command("dev", "--provider", "mock", "--kubeconfig-out", str(kubeconfig)),
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        eventually(lambda: kubeconfig.exists() and kubeconfig.stat().st_size, 30)
        assert kubeconfig.stat().st_mode & 0o077 == 0
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0
    assert "stopping" in said


def test_dev_leaves_no_process_behind():
    result = run("dev", "--provider", "process", "--apply", str(HELLO), "--once")
    assert result.returncode == 0, result.stderr
    assert "Hello from pod hello on node virtual-kubelet" in result.stdout
    directory = re.search(r"KUBECONFIG=(\S+)/kubeconfig", result.stdout)[1]
    assert not Path(directory).exists()
    eventually(lambda: not processes_naming(directory), message=f"processes of {directory} live on")


def processes_naming(directory):
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and os.fsencode(directory) in (entry / "cmdline").read_bytes():
                found.append(entry.name)
        except OSError:
            continue
    return found
