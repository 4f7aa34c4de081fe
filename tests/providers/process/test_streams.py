"""exec, attach, port-forward and stats on real processes."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from pathlib import Path

import pytest
from support.exec_io import FakeForward, FakeIO
from support.process_pods import container, free_port, make_pod, running_node
from support.waiting import eventually

from virtual_kubelet.errors import NotFound, Unavailable
from virtual_kubelet.provider import TerminalSize
from virtual_kubelet.runtime.threads import spawn


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    with running_node(tmp_path_factory.mktemp("streams")) as node:
        yield node


@pytest.fixture(scope="module")
def pod(node):
    pod = node.run(make_pod(container(env=[{"name": "COLOUR", "value": "blue"}])))
    node.wait_state(pod, "running")
    return pod


@contextlib.contextmanager
def in_background(call, *args):
    """Run `call` in a thread; its result comes in the list."""
    result = []

    def run():
        try:
            result.append(call(*args))
        except Exception as error:
            result.append(error)

    thread = spawn(run, name="test-client")
    try:
        yield result
    finally:
        thread.join(30)
        assert not thread.is_alive()


def execute(node, pod, command, io):
    try:
        return node.provider.exec_in_container(*node.ref(pod), command, io)
    finally:
        io.close()


def test_exit_code_and_both_outputs(node, pod):
    io = FakeIO()
    assert execute(node, pod, ["sh", "-c", "echo out; echo err >&2; exit 7"], io) == 7
    assert (bytes(io.out), bytes(io.err)) == (b"out\n", b"err\n")


def test_it_runs_in_the_container(node, pod):
    io = FakeIO()
    execute(node, pod, ["sh", "-c", "echo $COLOUR; pwd"], io)
    colour, place = bytes(io.out).decode().split()
    assert colour == "blue"
    assert place.endswith("/containers/c")


def test_a_command_that_is_not_there(node, pod):
    io = FakeIO()
    assert execute(node, pod, ["no-such-command"], io) == 127
    assert b'"no-such-command": executable file not found in $PATH' in io.err


def test_a_signal_becomes_a_code_as_in_a_shell(node, pod):
    assert execute(node, pod, ["sh", "-c", "kill -KILL $$"], FakeIO()) == 137


def test_input_and_its_end(node, pod):
    io = FakeIO(stdin=True)
    for piece in (b"one\n", b"two\n"):
        io.type(piece)
    io.end_input()
    assert execute(node, pod, ["cat"], io) == 0
    assert bytes(io.out) == b"one\ntwo\n"


def test_much_output_arrives_whole(node, pod):
    io = FakeIO()
    size = 50_000_000
    assert execute(node, pod, ["head", "-c", str(size), "/dev/zero"], io) == 0
    assert len(io.out) == size


def test_much_input_arrives_whole(node, pod):
    io = FakeIO(stdin=True)
    for _ in range(300):
        io.type(b"x" * 65536)
    io.end_input()
    assert execute(node, pod, ["wc", "-c"], io) == 0
    assert int(io.out) == 300 * 65536


def test_a_daemon_left_behind_is_not_waited_for(node, pod):
    io = FakeIO()
    assert execute(node, pod, ["sh", "-c", "sleep 1000 & echo started"], io) == 0
    assert bytes(io.out) == b"started\n"


def test_input_that_nobody_reads_does_not_hold_the_end(node, pod):
    io = FakeIO(stdin=True)
    io.type(b"x" * 1_000_000)
    assert execute(node, pod, ["sh", "-c", "sleep 0.1; exit 3"], io) == 3


def test_a_terminal(node, pod):
    io = FakeIO(stdin=True, tty=True)
    with in_background(execute, node, pod, ["sh"], io) as result:
        io.resize(TerminalSize(132, 43))
        eventually(lambda: io.type(b"stty size\n") or b"43 132" in io.out)
        io.type(b"tty; echo $TERM\n")
        io.saw(b"/dev/pts/")
        io.saw(b"\nxterm")
        io.resize(TerminalSize(80, 24))
        eventually(lambda: io.type(b"stty size\n") or b"24 80" in io.out)
        io.type(b"exit 5\n")
        eventually(lambda: result)
    assert result == [5]


def test_ctrl_c_in_a_terminal(node, pod):
    io = FakeIO(stdin=True, tty=True)

    def pressed():
        # More than once: a shell that is about to become its last command may drop one.
        io.type(b"\x03")
        return result

    with in_background(execute, node, pod, ["sh", "-c", "echo up; sleep 100"], io) as result:
        io.saw(b"up")
        eventually(pressed)
    assert result == [130]


def test_a_client_that_goes_away_takes_its_command_with_it(node, pod):
    io = FakeIO(stdin=True)
    with in_background(execute, node, pod, ["sh", "-c", "echo $$; exec sleep 1234"], io) as result:
        eventually(lambda: bytes(io.out).endswith(b"\n"))
        pid = int(io.out)
        os.kill(pid, 0)
        io.close()
        eventually(lambda: result)
    eventually(lambda: not Path(f"/proc/{pid}").exists())


class SlowIO(FakeIO):
    """Takes a megabyte, and then nothing until it goes."""

    def __init__(self):
        super().__init__()
        self.gone = threading.Event()
        self.on_close(self.gone.set)

    def write_stdout(self, data):
        if len(self.out) > 1_000_000:
            self.gone.wait()
        super().write_stdout(data)


def test_a_slow_client_slows_the_command(node, pod):
    io = SlowIO()
    io.hold.clear()
    with in_background(execute, node, pod, ["sh", "-c", "echo $$; exec yes"], io) as result:
        eventually(lambda: len(io.out) == 0 and not result)
        io.hold.set()
        eventually(lambda: len(io.out) > 1_000_000)
        io.close()
    assert len(io.out) < 1_100_000


def test_only_running_containers_are_entered(node):
    done = node.run(make_pod(container("true"), name="done"))
    node.wait_phase(done, "Succeeded")
    with pytest.raises(NotFound, match="not running"):
        node.provider.exec_in_container(*node.ref(done), ["true"], FakeIO())
    with pytest.raises(NotFound):
        node.provider.exec_in_container(*node.ref(done, "other"), ["true"], FakeIO())


def test_many_at_once(node, pod):
    results = []

    def one():
        io = FakeIO()
        results.append((execute(node, pod, ["sh", "-c", "echo hello"], io), bytes(io.out)))

    threads = [spawn(one, name="test-client") for _ in range(50)]
    for thread in threads:
        thread.join(30)
    assert results == [(0, b"hello\n")] * 50


# -- attach


def attach(node, pod, io):
    try:
        node.provider.attach_to_container(*node.ref(pod), io)
    finally:
        io.close()


def test_attach_sees_output_and_gives_input(node):
    pod = node.run(make_pod(container("while read line; do echo got $line; done; echo over", stdin=True)))
    node.wait_state(pod, "running")
    io = FakeIO(stdin=True)
    with in_background(attach, node, pod, io) as result:
        io.type(b"one\n")
        io.saw(b"got one\n")
        io.close()
        eventually(lambda: result)
    # The container's input stays open for the next client.
    second = FakeIO(stdin=True)
    with in_background(attach, node, pod, second) as result:
        second.type(b"two\n")
        second.saw(b"got two\n")
        node.delete(pod, 0)
        eventually(lambda: result)
    assert "got one\ngot two\n" in node.logs(pod)


def test_stdin_once_ends_with_its_first_client(node):
    pod = node.run(make_pod(container("cat; echo over", stdin=True, stdinOnce=True)))
    node.wait_state(pod, "running")
    io = FakeIO(stdin=True)
    with in_background(attach, node, pod, io):
        io.type(b"text\n")
        io.saw(b"text\n")
        io.end_input()
        node.wait_phase(pod, "Succeeded")
    assert node.logs(pod) == "text\nover\n"


def test_attach_to_a_terminal(node):
    pod = node.run(make_pod(container("exec sh -i", stdin=True, tty=True)))
    node.wait_state(pod, "running")
    io = FakeIO(stdin=True, tty=True)
    with in_background(attach, node, pod, io):
        io.resize(TerminalSize(100, 50))
        eventually(lambda: io.type(b"stty size\n") or b"50 100" in io.out)
        io.type(b"exit 4\n")
        node.wait_phase(pod, "Failed")
    assert node.state(pod)["terminated"]["exitCode"] == 4


# -- port-forward


def test_port_forward_copies_both_ways(node, pod):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        stream = FakeForward()
        port = listener.getsockname()[1]
        with in_background(node.provider.port_forward, *node.ref(pod)[:3], port, stream) as result:
            peer, _ = listener.accept()
            with peer:
                stream.send(b"question")
                assert peer.recv(100) == b"question"
                peer.sendall(b"answer")
                stream.send(b"")
                assert peer.recv(100) == b""
                peer.sendall(b", and more")
            assert stream.ended.wait(30)
            eventually(lambda: result)
    assert bytes(stream.out) == b"answer, and more"


def test_port_forward_ends_when_the_client_goes(node, pod):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        stream = FakeForward()
        port = listener.getsockname()[1]
        with in_background(node.provider.port_forward, *node.ref(pod)[:3], port, stream) as result:
            peer, _ = listener.accept()
            stream.close()
            assert peer.recv(100) == b""
            peer.close()
            eventually(lambda: result)


def test_a_refused_port_is_told(node, pod):
    with pytest.raises(Unavailable, match="connection refused"):
        node.provider.port_forward(*node.ref(pod)[:3], free_port(), FakeForward())


# -- numbers


def test_stats(node):
    pod = node.run(make_pod(container("i=0; while :; do i=$((i+1)); done"), name="busy"))
    node.wait_state(pod, "running")

    def numbers():
        summary = node.provider.stats_summary()
        found = [item for item in summary["pods"] if item["podRef"]["uid"] == pod["metadata"]["uid"]]
        return summary, found[0]["containers"][0]

    _, item = eventually(numbers)  # what has only just begun has no memory yet, and is left out
    assert item["cpu"]["usageNanoCores"] >= 0, "known from the first look on"
    eventually(lambda: numbers()[1]["cpu"]["usageCoreNanoSeconds"] > 100_000_000)
    summary, item = numbers()
    assert item["name"] == "c"
    assert item["memory"]["workingSetBytes"] > 100_000
    eventually(lambda: numbers()[1]["cpu"].get("usageNanoCores", 0) > 50_000_000)
    node_cpu = summary["node"]["cpu"]
    assert 0 < node_cpu["usageNanoCores"] <= node_cpu["usageCoreNanoSeconds"]
    assert summary["node"]["memory"]["availableBytes"] > 0
    node.delete(pod, 0)


def test_node(node):
    capacity = node.provider.capacity()
    assert capacity["cpu"] == str(os.cpu_count())
    assert capacity["pods"] == "110"
    assert {item["type"] for item in node.provider.node_conditions()} == {
        "MemoryPressure",
        "DiskPressure",
        "PIDPressure",
    }
