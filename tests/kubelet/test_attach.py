from __future__ import annotations

import pytest
from support.remote import ALL, TTY, CommandProvider, kubelet

from virtual_kubelet.errors import Conflict
from virtual_kubelet.wire.remotecommand import Outcome

KINDS = ["spdy", "websocket"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("asked", [ALL, TTY])
def test_both_ways_until_the_client_ends(kind, asked):
    with kubelet() as node, node.remote(kind, asked, route="attach") as session:
        session.stdin.write(b"hello")
        assert session.stdout.read() == b"hello"
        session.stdin.close_write()
        assert session.result() == (b"", b"", Outcome(0))
        assert node.provider.calls == [("attach", "default", "web", "uid-1", "main")]


@pytest.mark.parametrize("kind", KINDS)
def test_a_client_that_goes_lets_go(kind):
    with kubelet() as node, node.remote(kind, ALL, route="attach") as session:
        session.stdin.write(b"hello")
        assert session.stdout.read() == b"hello"
        session.connection.close()
        assert node.provider.ended.acquire(timeout=30)


def test_what_the_provider_sees():
    seen = {}

    def look(io):
        seen.update(tty=io.tty, stdin=io.stdin, stdout=io.stdout, stderr=io.stderr, closed=io.closed)
        io.write_stderr(b"nobody asked")
        io.write_stdout(b"")
        io.write_stdout(b"out")

    provider = CommandProvider()
    provider.attach = look
    with kubelet(provider) as node, node.remote("websocket", TTY, route="attach") as session:
        assert session.result() == (b"out", b"", Outcome(0))
    assert seen == {"tty": True, "stdin": True, "stdout": True, "stderr": False, "closed": False}


def test_failures_are_told():
    def fail(io):
        raise Conflict("the container is starting")

    provider = CommandProvider()
    provider.attach = fail
    with kubelet(provider) as node, node.remote("spdy", ALL, route="attach") as session:
        message = session.result()[2].message
        assert message == ("Internal error occurred: error attaching to container: the container is starting")
