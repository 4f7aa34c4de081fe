"""exec, attach and port-forward."""

from __future__ import annotations

import contextlib
import random
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from virtual_kubelet.errors import NotFound, ProviderError
from virtual_kubelet.objects import Pod
from virtual_kubelet.provider import Attaching, Executing, PortForwarding
from virtual_kubelet.runtime.threads import Thread, spawn
from virtual_kubelet.testing.conformance.base import Conformance
from virtual_kubelet.testing.conformance.node import MAIN, ConformanceNode, reference, supported
from virtual_kubelet.testing.streams import ScriptedForward, ScriptedIO

__all__ = ["TestAttach", "TestExec", "TestPortForward"]

MUCH = 4 * 1024 * 1024  # bytes
EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")


class TestExec(Conformance):
    """`exec_in_container`."""

    @pytest.fixture
    def pod(self, node: ConformanceNode) -> Pod:
        """A pod that runs."""
        node.need(Executing)
        return node.run()

    @pytest.mark.parametrize("code", [0, 7])
    def test_the_exit_code(self, node: ConformanceNode, pod: Pod, code: int) -> None:
        """The command's own is returned."""
        command = node.given(node.profile.exiting(code), "what command ends with a code (exits)")
        assert _execute(node, pod, command, ScriptedIO()) == code

    def test_input_comes_back(self, node: ConformanceNode, pod: Pod) -> None:
        """Standard input reaches the command, its end too."""
        command = node.given(node.profile.echoing(), "what command echoes its input (echoes)")
        io = ScriptedIO(stdin=True)
        for piece in (b"one\n", b"two\n"):
            io.type(piece)
        io.end_input()
        assert _execute(node, pod, command, io) == 0
        assert bytes(io.out).endswith(b"one\ntwo\n")

    def test_an_answer_comes_while_the_command_runs(self, node: ConformanceNode, pod: Pod) -> None:
        """Nothing is held back until the end of the input."""
        command = node.given(node.profile.echoing(), "what command echoes its input (echoes)")
        io = ScriptedIO(stdin=True)
        with _in_background(node, lambda: _execute(node, pod, command, io)):
            io.type(b"question\n")
            io.saw(b"question\n", node.profile.timeout)
            io.end_input()

    def test_a_client_that_goes_ends_the_command(self, node: ConformanceNode, pod: Pod) -> None:
        """The call returns, or raises, soon after `closed`."""
        command = node.given(node.profile.echoing(), "what command echoes its input (echoes)")
        io = ScriptedIO(stdin=True)
        with _in_background(node, lambda: _execute(node, pod, command, io)):
            io.type(b"here\n")
            io.saw(b"here\n", node.profile.timeout)
            io.close()

    def test_both_outputs(self, node: ConformanceNode, pod: Pod) -> None:
        """Standard output and error come apart."""
        io = ScriptedIO()
        assert _execute(node, pod, _shell(node, "echo out; echo err >&2"), io) == 0
        assert (bytes(io.out), bytes(io.err)) == (b"out\n", b"err\n")

    def test_much_output(self, node: ConformanceNode, pod: Pod) -> None:
        """All of it has come when the call returns."""
        io = ScriptedIO()
        command = _shell(node, f"head -c {MUCH} /dev/zero")
        assert _execute(node, pod, command, io) == 0
        assert len(io.out) == MUCH

    def test_a_terminal(self, node: ConformanceNode, pod: Pod) -> None:
        """With `tty` the command has one."""
        io = ScriptedIO(stdin=True, tty=True)
        assert _execute(node, pod, _shell(node, "test -t 0 && test -t 1"), io) == 0
        io = ScriptedIO()
        assert _execute(node, pod, _shell(node, "test -t 1"), io) == 1

    def test_several_at_once(self, node: ConformanceNode, pod: Pod) -> None:
        """Sessions do not mix."""
        sessions = {n: ScriptedIO() for n in range(4)}
        commands = {n: _shell(node, f"echo {n}; exit {n}") for n in sessions}
        with ThreadPoolExecutor(len(sessions)) as threads:
            codes = list(
                threads.map(lambda item: _execute(node, pod, commands[item[0]], item[1]), sessions.items())
            )
        assert codes == list(sessions)
        assert [bytes(io.out) for io in sessions.values()] == [b"%d\n" % n for n in sessions]

    def test_a_command_that_is_not_there(self, node: ConformanceNode, pod: Pod) -> None:
        """It is an error, or the code that a shell would give."""
        node.script("")
        try:
            code = _execute(node, pod, ["no-such-command"], ScriptedIO())
        except ProviderError:
            return
        assert code in {126, 127}

    def test_what_is_not_there(self, node: ConformanceNode, pod: Pod) -> None:
        """No such container, pod or UID: `NotFound`."""
        namespace, name, uid = reference(pod)
        command = node.profile.exiting(0) or ["true"]
        for where in (
            (namespace, name, uid, "nobody"),
            (namespace, "nobody", "another", MAIN),
            (namespace, name, "another", MAIN),
        ):
            with pytest.raises(NotFound):
                node.need(Executing).exec_in_container(*where, command, ScriptedIO())


class TestAttach(Conformance):
    """`attach_to_container`."""

    @pytest.fixture
    def pod(self, node: ConformanceNode) -> Pod:
        """A pod whose container sends back what is typed."""
        node.need(Attaching)
        fields = node.given(node.profile.attaching(), "what container echoes its input (attaches)")
        return node.run(fields)

    def test_typing_and_leaving(self, node: ConformanceNode, pod: Pod) -> None:
        """The container's own streams are joined; a client that goes leaves it running."""
        io = ScriptedIO(stdin=True)
        with _in_background(node, lambda: _attach(node, pod, io)):
            io.type(b"hello\n")
            io.saw(b"hello\n", node.profile.timeout)
            io.close()
        node.expect_running(pod)

    def test_the_containers_end_ends_it(self, node: ConformanceNode) -> None:
        """The call returns when the container has ended."""
        node.need(Attaching)
        pod = node.run({**node.script("read line; echo got $line; exit 0"), "stdin": True})
        io = ScriptedIO(stdin=True)
        with _in_background(node, lambda: _attach(node, pod, io)):
            io.type(b"it\n")
            io.saw(b"got it\n", node.profile.timeout)
        node.expect_phase(pod, "Succeeded")

    def test_what_is_not_there(self, node: ConformanceNode, pod: Pod) -> None:
        """No such UID: `NotFound`."""
        namespace, name, _ = reference(pod)
        with pytest.raises(NotFound):
            node.need(Attaching).attach_to_container(namespace, name, "another", MAIN, ScriptedIO())


class TestPortForward(Conformance):
    """`port_forward`."""

    def test_bytes_go_both_ways(self, node: ConformanceNode) -> None:
        """What is sent comes back from a server that does so."""
        provider, serves = node.need(PortForwarding), node.profile.serves
        if serves is None:
            pytest.skip("the profile does not say what container serves a port (serves)")
        port = free_port()
        pod = node.run(serves(port))

        def answers() -> bool:
            stream = ScriptedForward()
            stream.send(b"ping")
            with _in_background(node, lambda: _quietly(provider, pod, port, stream)):
                ended = node.expect(lambda: bytes(stream.out) or stream.closed, lambda: "no answer")
                stream.close()
            return ended == b"ping"

        node.expect(answers, lambda: "nothing came back")

    def test_a_port_where_nobody_listens(self, node: ConformanceNode) -> None:
        """It is an error of the provider's, for the client to read."""
        node.script("")
        provider = node.need(PortForwarding)
        pod = node.run()
        with pytest.raises(ProviderError), supported():
            provider.port_forward(*reference(pod), free_port(), ScriptedForward())

    def test_what_is_not_there(self, node: ConformanceNode) -> None:
        """No such UID: `NotFound`."""
        provider = node.need(PortForwarding)
        namespace, name, _ = reference(node.run())
        with pytest.raises(NotFound):
            provider.port_forward(namespace, name, "another", free_port(), ScriptedForward())


def free_port() -> int:
    """Return a port of this machine that nobody has; not one of those that the kernel gives to others meanwhile."""
    first_of_theirs = int(EPHEMERAL.read_text(encoding="ascii").split()[0])
    for _ in range(100):
        port = random.randrange(first_of_theirs // 2, first_of_theirs)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("", port))
            return port
    raise AssertionError("this machine has no port left")


def _shell(node: ConformanceNode, text: str) -> list[str]:
    command: list[str] = node.script(text)["command"]
    return command


def _execute(node: ConformanceNode, pod: Pod, command: list[str], io: ScriptedIO) -> int:
    try:
        with supported():
            return node.need(Executing).exec_in_container(*reference(pod), MAIN, command, io)
    finally:
        io.close()  # as the agent does


def _attach(node: ConformanceNode, pod: Pod, io: ScriptedIO) -> None:
    try:
        with supported():
            node.need(Attaching).attach_to_container(*reference(pod), MAIN, io)
    finally:
        io.close()


def _quietly(provider: PortForwarding, pod: Pod, port: int, stream: ScriptedForward) -> None:
    """Forward; a server that does not listen yet, or a client that goes, is no failure here."""
    with contextlib.suppress(ProviderError, BrokenPipeError):
        provider.port_forward(*reference(pod), port, stream)
    stream.close()


@contextlib.contextmanager
def _in_background(node: ConformanceNode, call: Callable[[], Any]) -> Iterator[Thread]:
    """Run `call` in a thread, which has to end by itself after the block; errors of the provider's are its own."""
    raised: list[Exception] = []

    def run() -> None:
        try:
            call()
        except (ProviderError, BrokenPipeError):
            pass  # the client has gone
        except Exception as error:  # noqa: BLE001 - raised again below
            raised.append(error)

    thread = spawn(run, name="conformance-client")
    yield thread
    thread.join(node.profile.timeout)
    assert not thread.is_alive(), "the call does not return"
    if raised:
        raise raised[0]
