"""The real kubectl and the Python client at exec, attach, cp and port-forward, over both transports.

The embedded control plane passes the connections through, so the kubelet's routes are what is tried.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest
from kubernetes import client as kubernetes_client
from kubernetes.config import new_client_from_config
from kubernetes.stream import stream
from support.kubectl import kubectl
from support.passage import passage
from support.remote import CommandProvider, echo_server
from support.sites import serving_site
from support.waiting import eventually

from virtual_kubelet.runtime.threads import spawn

pytestmark = pytest.mark.live

TRANSPORTS = {
    "websocket": {"KUBECTL_REMOTE_COMMAND_WEBSOCKETS": "true", "KUBECTL_PORT_FORWARD_WEBSOCKETS": "true"},
    "spdy": {"KUBECTL_REMOTE_COMMAND_WEBSOCKETS": "false", "KUBECTL_PORT_FORWARD_WEBSOCKETS": "false"},
}


@pytest.fixture(params=["1.20", "spdy", "websocket"])
def k(request, tmp_path):
    """A kubectl: an old one, which knows SPDY only, or the current one with either transport."""
    with passage(Terminals()) as (plane, _, node):
        version = request.param if request.param == "1.20" else ""
        command = kubectl(plane, tmp_path, version)
        command._environment.update(TRANSPORTS.get(request.param, {}))
        command.node = node
        yield command


class Terminals(CommandProvider):
    """Gives a command a terminal where the client wants one."""

    def _run(self, command, io):
        if not io.tty:
            return super()._run(command, io)
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True, close_fds=True
        )
        os.close(theirs)
        self.processes.append(process)
        io.on_close(process.kill)
        pumps = [
            spawn(self._sizes, ours, io, name="sizes"),
            spawn(self._input, ours, io, name="input"),
        ]
        with contextlib.suppress(OSError):
            while data := os.read(ours, 65536):
                io.write_stdout(data)
        code = process.wait()
        spawn(self._tidy, ours, pumps, name="tidy")  # the pumps end with the session, after this call
        return code

    @staticmethod
    def _tidy(terminal, pumps):
        for pump in pumps:
            pump.join()
        os.close(terminal)

    @staticmethod
    def _sizes(terminal, io):
        for size in io.resizes():
            fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", size.height, size.width, 0, 0))

    @staticmethod
    def _input(terminal, io):
        with contextlib.suppress(OSError):
            while data := io.read_stdin():
                os.write(terminal, data)


def test_output_errors_and_exit_code(k):
    done = k.run("exec", "web", "--", "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (done.stdout, done.returncode) == ("out\n", 7)
    assert done.stderr.startswith("err\n")


def test_input_until_its_end(k):
    text = "hello\n" * 50_000
    assert k("exec", "-i", "web", "--", "cat", stdin=text) == text


def test_a_command_that_is_not_there(k):
    complaint = k.fails("exec", "web", "--", "/no/such/thing")
    assert "error executing command in container: [Errno 2]" in complaint


def test_attach(k):
    assert k("attach", "-i", "web", stdin="hello\n") == "hello\n"


def test_files_both_ways(k, tmp_path):
    for name in ("there", "back"):
        (tmp_path / name).mkdir()
    content = os.urandom(5_000_000)
    (tmp_path / "big").write_bytes(content)
    k("cp", str(tmp_path / "big"), f"web:{tmp_path}/there/big")
    assert (tmp_path / "there" / "big").read_bytes() == content
    k("cp", f"web:{tmp_path}/there/big", str(tmp_path / "back" / "big"))
    assert (tmp_path / "back" / "big").read_bytes() == content


def test_a_kubectl_that_is_killed_ends_the_process(k):
    process = k.start("exec", "web", "--", "sleep", "1005")
    started = eventually(lambda: k.node.provider.processes and k.node.provider.processes[-1])
    process.kill()
    process.communicate()
    eventually(lambda: started.poll() is not None)


def test_a_terminal_and_its_sizes(k):
    ours, theirs = pty.openpty()
    resize(ours, 33, 101)
    process = subprocess.Popen(
        [k.path, *k._arguments, "exec", "-it", "web", "--", "sh"],
        **dict.fromkeys(("stdin", "stdout", "stderr"), theirs),
        start_new_session=True,
        env=k._environment,
    )
    os.close(theirs)
    try:
        # The size comes after the command has begun, as from any kubectl.
        eventually(lambda: "33 101" in dialogue(ours, "stty size\r", "33 101", 1))
        resize(ours, 44, 120)
        os.kill(process.pid, signal.SIGWINCH)
        eventually(lambda: "44 120" in dialogue(ours, "stty size\r", "44 120", 1))
        os.write(ours, b"exit 5\r")
        dialogue(ours, "", "nothing more", 2)
        assert process.wait(30) == 5
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def resize(terminal, rows, columns):
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def dialogue(terminal, said, wanted, patience=20):
    """Say something and return what is answered, once `wanted` is in it or patience (seconds) is at an end."""
    os.write(terminal, said.encode())
    heard = ""
    while wanted not in heard and select.select([terminal], [], [], patience)[0]:
        try:
            heard += os.read(terminal, 65536).decode(errors="replace")
        except OSError:
            break  # the other side has closed
    return heard


@contextlib.contextmanager
def forwarded(k, *ports):
    """Yield the local ports at which `kubectl port-forward` listens."""
    process = k.start("port-forward", "--address", "127.0.0.1", "pod/web", *[f":{port}" for port in ports])
    try:
        lines = [process.stdout.readline() for _ in ports]
        yield [int(re.search(r"127\.0\.0\.1:(\d+) ->", line).group(1)) for line in lines]
    finally:
        process.terminate()
        process.communicate()


def test_port_forward_with_many_requests_at_once(k):
    with serving_site() as site, forwarded(k, site) as (local,), ThreadPoolExecutor(20) as pool:
        urls = [f"http://127.0.0.1:{local}/{i}" for i in range(20)]
        answers = list(pool.map(lambda url: urllib.request.urlopen(url, timeout=60).read(), urls))
    assert answers == [f"/{i} ".encode() * 20_000 for i in range(20)]


def test_port_forward_to_a_refused_port(k):
    process = k.start("port-forward", "--address", "127.0.0.1", "pod/web", ":1")
    line = process.stdout.readline()
    port = int(re.search(r":(\d+) ->", line).group(1))
    with pytest.raises(OSError):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10)
    eventually(lambda: k.node.provider.calls)
    process.terminate()
    _, complaint = process.communicate()
    assert "error forwarding port 1 to pod default/web, uid uid-1: cannot connect to port 1" in complaint


# -- the Python client: v4.channel.k8s.io, text messages, and port-forward over channels -----------------------


@pytest.fixture
def core(tmp_path):
    with passage() as (plane, _, node):
        plane.write_kubeconfig(tmp_path / "kubeconfig")
        client = new_client_from_config(str(tmp_path / "kubeconfig"))
        core = kubernetes_client.CoreV1Api(client)
        core.node = node
        yield core
        client.rest_client.pool_manager.clear()
        client.close()


def start(core, *command, **options):
    return stream(
        core.connect_get_namespaced_pod_exec,
        "web",
        "default",
        command=list(command),
        **{"stdin": False, "stdout": True, "stderr": True, "tty": False, **options},
        _preload_content=False,
    )


def test_the_python_client_runs_commands(core):
    session = start(core, "sh", "-c", "echo out; echo err >&2; exit 7")
    session.run_forever(timeout=60)
    assert (session.read_stdout(), session.read_stderr()) == ("out\n", "err\n")
    assert session.returncode == 7
    session.close()
    session.sock.shutdown()  # which the library forgets when the server has closed first


def test_the_python_client_writes_text(core):
    session = start(core, "cat", stdin=True)
    session.write_stdin("höre\n")
    assert session.readline_stdout(timeout=60) == "höre"
    session.close()
    process = core.node.provider.processes[-1]
    eventually(lambda: process.poll() is not None)


FORWARDING = """
import sys, time
from kubernetes import client, config
from kubernetes.stream import portforward
config.load_kube_config(sys.argv[1])
port = int(sys.argv[2])
call = client.CoreV1Api().connect_get_namespaced_pod_portforward
forward = portforward(call, "web", "default", ports=f"{port},1")
sock = forward.socket(port)
sock.setblocking(True)
sock.sendall(b"hello")
assert sock.recv(5) == b"hello"
limit = time.monotonic() + 50
while forward.error(1) is None and time.monotonic() < limit:
    time.sleep(0.01)  # the two ports are two connections: which one answers first is open
print(forward.error(port), forward.error(1))
"""


def test_the_python_client_forwards_ports(core, tmp_path):
    # In a process of its own: it leaves sockets and a thread behind.
    with echo_server() as port:
        done = subprocess.run(
            [sys.executable, "-c", FORWARDING, str(tmp_path / "kubeconfig"), str(port)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("None error forwarding port 1 to pod default/web, uid uid-1: ")
