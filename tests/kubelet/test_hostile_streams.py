"""Clients that send anything: the connection gets its error, the server goes on, nothing grows or leaks."""

from __future__ import annotations

import logging
import random
import threading
import zlib

import pytest
from support.remote import (
    ALL,
    OUT,
    SPDY_HEADERS,
    WEBSOCKET_HEADERS,
    CommandProvider,
    echo_server,
    kubelet,
)
from support.streams import read_all
from support.waiting import eventually

from virtual_kubelet.runtime.threads import Deadline, join_all, spawn
from virtual_kubelet.wire.channels import CHANNEL_PROTOCOLS, ChannelSession
from virtual_kubelet.wire.remotecommand import Outcome
from virtual_kubelet.wire.spdy_frames import Data, GoAway, Ping, ResetStream, SynStream
from virtual_kubelet.wire.spdy_headers import DICTIONARY, HeaderCompressor
from virtual_kubelet.wire.spdy_session import Role as SpdyRole
from virtual_kubelet.wire.spdy_session import Session
from virtual_kubelet.wire.websocket import Role

EXEC = "/exec/default/web/main?command=cat&input=1&output=1"
V4 = ("X-Stream-Protocol-Version", "v4.channel.k8s.io")
V5 = ("Sec-WebSocket-Protocol", "v5.channel.k8s.io")
FORWARD = ("X-Stream-Protocol-Version", "portforward.k8s.io")


def read_to_the_end(transport, limit=1_000_000):
    data = b""
    while len(data) < limit and (piece := transport.recv(65536, 10)):
        data += piece
    return data


def bomb():
    deflate = zlib.compressobj(9, zdict=DICTIONARY)
    return deflate.compress(bytes(30_000_000)) + deflate.flush(zlib.Z_SYNC_FLUSH)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\xff" * 100, id="no SPDY"),
        pytest.param(SynStream(1, b"not zlib").serialize(), id="wrong zlib"),
        pytest.param(SynStream(1, bomb()).serialize(), id="zlib bomb"),
        pytest.param(SynStream(0, HeaderCompressor().compress([])).serialize(), id="stream 0"),
        pytest.param(bytes.fromhex("80030001 00ffffff"), id="giant header block"),
        pytest.param(bytes.fromhex("80030007 00000004 00000000"), id="short GOAWAY"),
    ],
)
def test_what_is_no_spdy_ends_its_connection_and_no_other(data):
    with kubelet() as node, node.remote("spdy", ALL, command=["cat"]) as other:
        transport, _ = node.upgrade(EXEC, [*SPDY_HEADERS, V4])
        transport.send(data)
        answer = read_to_the_end(transport)
        transport.close()
        assert GoAway(0, 1).serialize() in answer
        other.stdin.write(b"alive", end=True)
        assert other.result() == (b"alive", b"", Outcome(0))


def test_ids_out_of_order_lose_their_stream():
    with kubelet() as node, echo_server() as port, node.forward() as client:
        kept, _ = client.open(port)
        wrong = SynStream(1, client.connection.session._compress([("port", "1")]))
        client.connection.duplex.send(lambda: client.connection.session._queue(wrong.serialize()))
        kept.write(b"alive", end=True)
        assert read_all(kept) == b"alivebye"


def test_a_flood_of_pings_from_a_client_that_does_not_read():
    """The answers have to stop somewhere: the server stops reading instead of remembering them."""
    # However long the flood takes, its streams may still come.
    with kubelet(creation_timeout=600) as node:
        transport, _ = node.upgrade(EXEC, [*SPDY_HEADERS, V4])
        flood = b"".join(Ping(2 * i + 1).serialize() for i in range(5000))
        sent = 0
        try:
            for _ in range(2000):  # 120 MB
                transport.send(flood, 0.5)
                sent += len(flood)
        except TimeoutError:
            pass
        transport.close()
        assert sent < 60_000_000
        eventually(lambda: node.server.streams == 0)


def test_a_flood_of_streams():
    # The one that is let in waits for its pair until the end, however long that takes.
    with kubelet(creation_timeout=600) as node, node.forward() as client:
        refused = 0
        for _ in range(1100):
            try:
                client.connection.open_stream([("streamtype", "error"), ("port", "1"), ("requestid", "x")])
            except BrokenPipeError:
                refused += 1
        assert refused == 1099
        assert not client.connection.closed


@pytest.mark.parametrize("step", [1, 7])
def test_everything_in_fragments(step):
    session = Session(SpdyRole.CLIENT)
    for name in ("error", "stdin", "stdout"):
        session.open_stream([("streamtype", name)])
    session.ping()
    # Before the replies, as an impatient client does it.
    session.send_data(3, b"in pieces", fin=True)
    data = session.data_to_send()
    with kubelet() as node:
        transport, _ = node.upgrade(EXEC, [*SPDY_HEADERS, V4])
        for start in range(0, len(data), step):
            transport.send(data[start : start + step])
        while b"Success" not in (answer := transport.recv(65536, 10)):
            assert answer
            session.receive_data(answer)
        transport.close()


# -- fuzz ----------------------------------------------------------------------------------------------------


def spdy_exec(rng):
    session = Session(SpdyRole.CLIENT)
    for name in rng.sample(["error", "stdin", "stdout", "resize", "x"], 4):
        session.open_stream([("streamtype", name)], fin=rng.random() < 0.2)
    return _talk(rng, session)


def spdy_forward(rng):
    session = Session(SpdyRole.CLIENT)
    for i in range(rng.randrange(1, 6)):
        for kind in rng.sample(["error", "data", "nonsense"], 2):
            session.open_stream(
                [("streamtype", kind), ("port", rng.choice(["1", "2", "0"])), ("requestid", str(i))]
            )
    return _talk(rng, session)


def _talk(rng, session):
    for stream_id in sorted(session.open_streams):
        if rng.random() < 0.7:
            try:
                session.send_data(stream_id, rng.randbytes(rng.randrange(200)), fin=rng.random() < 0.5)
            except Exception:
                pass
        if rng.random() < 0.1:
            session.reset(stream_id)
    session.ping()
    extra = [Data(7, b"x"), ResetStream(3, 5), GoAway(1), Ping(2), Data(1, b"", fin=True)]
    return session.data_to_send() + b"".join(
        frame.serialize() for frame in rng.sample(extra, rng.randrange(len(extra)))
    )


def websocket_exec(rng):
    session = ChannelSession(Role.CLIENT, CHANNEL_PROTOCOLS["v5.channel.k8s.io"])
    for _ in range(rng.randrange(1, 10)):
        session.send_data(rng.randrange(6), rng.randbytes(rng.randrange(200)))
    if rng.random() < 0.5:
        session.end_channel(0)
    if rng.random() < 0.3:
        session.close(rng.choice([1000, 1001, 3000]))
    return session.data_to_send()


def damaged(rng, data):
    data = bytearray(data)
    for _ in range(rng.choice([0, 1, 1, 2, 5])):
        place = rng.randrange(len(data))
        action = rng.randrange(4)
        if action == 0:
            data[place] = rng.randrange(256)
        elif action == 1:
            del data[place : place + rng.randrange(1, 20)]
        elif action == 2:
            data[place:place] = rng.randbytes(rng.randrange(1, 20))
        else:
            data[place:place] = data[:place][-50:]
        if not data:
            return b""
    return bytes(data)


class Quick(CommandProvider):
    """Starts no processes: fuzzing is about the bytes."""

    def exec_in_container(self, namespace, pod, uid, container, command, io):
        for _ in io.resizes():
            break
        while data := io.read_stdin():
            io.write_stdout(data)
        return 0

    def port_forward(self, namespace, pod, uid, port, stream):
        if port == 2:
            raise OSError("no")
        while data := stream.read():
            stream.write(data)


TARGETS = {
    "spdy exec": (spdy_exec, EXEC + "&tty=1", [*SPDY_HEADERS, V4], "POST"),
    "spdy forward": (spdy_forward, "/portForward/default/web", [*SPDY_HEADERS, FORWARD], "POST"),
    "websocket exec": (websocket_exec, EXEC, [*WEBSOCKET_HEADERS, V5], "GET"),
}


@pytest.mark.parametrize("target", TARGETS)
def test_fuzz(target, caplog):
    caplog.set_level(logging.WARNING)
    make, path, headers, method = TARGETS[target]
    rng = random.Random(target)
    with kubelet(Quick(), tls=False, creation_timeout=0.5, quiet=0.2) as node:
        for _ in range(60):
            data = damaged(rng, make(rng))
            transport, _ = node.upgrade(path, headers, method)
            try:
                while data:
                    size = rng.choice([1, 10, 100, 10_000])
                    transport.send(data[:size])
                    data = data[size:]
                if rng.random() < 0.5:
                    transport.recv(65536, 0.02)
            except (BrokenPipeError, TimeoutError):
                pass  # it has heard enough, or has nothing to say
            transport.close()
        eventually(lambda: node.server.streams == 0)
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


# -- many ----------------------------------------------------------------------------------------------------


def test_many_sessions_at_once_and_then_a_stop():
    count = 60
    with kubelet(creation_timeout=600) as node:
        before = threading.active_count()
        sessions = [node.remote("spdy", ALL, command=["cat"]) for _ in range(count)]
        clients = []
        openers = [spawn(lambda s=s: clients.append(s.__enter__()), name="opener") for s in sessions]
        assert join_all(openers, Deadline(60)) == []
        try:
            assert len(clients) == count
            for client in clients:
                client.stdin.write(b"hello")
            for client in clients:
                assert client.stdout.read() == b"hello"
            # A session has its connection's thread and a reader; the test's provider and clients have theirs.
            ours = [t.name for t in threading.enumerate() if t.name.startswith("exec ")]
            assert len(ours) == count
            eventually(lambda: threading.active_count() - before <= count * (2 + 3 + 1) + 10)
            node.server.stop(Deadline(20))
            for process in node.provider.processes:
                eventually(lambda p=process: p.poll() is not None)
        finally:
            for session in sessions:
                session.__exit__(None, None, None)


def test_output_of_many_sessions_is_not_mixed_up():
    with kubelet() as node:
        results = {}

        def one(i):
            command = ["sh", "-c", f"for n in 1 2 3; do echo {i}-$n; done; exit {i}"]
            with node.remote("spdy" if i % 2 else "websocket", OUT, command=command) as session:
                out, _, outcome = session.result()
                results[i] = (out.decode().split(), outcome.exit_code)

        threads = [spawn(one, i, name="client") for i in range(30)]
        assert join_all(threads, Deadline(60)) == []
        assert results == {i: ([f"{i}-1", f"{i}-2", f"{i}-3"], i) for i in range(30)}
