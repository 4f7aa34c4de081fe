"""Many clients at once: what they cost, and that nothing of them is left."""

from __future__ import annotations

import contextlib
import queue
import resource
import threading
from pathlib import Path

import pytest
from support.waiting import eventually
from support.web import (
    ask,
    client_tls,
    connected,
    echo,
    http_client,
    read_response,
    read_until,
    server_tls,
    serving,
)

from virtual_kubelet.runtime.threads import Deadline, spawn
from virtual_kubelet.web.limits import Limits
from virtual_kubelet.web.messages import Response, text

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
def descriptors():
    """Room for 3,000 of them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 3000:
        pytest.skip(f"this process may open {hard} files only")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 3000), hard))
    before = len(list(Path("/proc/self/fd").iterdir()))
    yield
    eventually(lambda: len(list(Path("/proc/self/fd").iterdir())) <= before)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def threads():
    """How many the server under test has."""
    return sum(thread.name.startswith("test-") for thread in threading.enumerate())


class Watch:
    """A watch as the API server answers it: events for everyone, now and then."""

    def __init__(self):
        self.events = queue.SimpleQueue()

    def __iter__(self):
        return self

    def __next__(self):
        event = self.events.get()
        if event is None:
            raise StopIteration
        return event

    def close(self):
        self.events.put(None)


def watching(sock):
    """Begin a watch and wait until it has begun."""
    sock.sendall(b"GET /watch HTTP/1.1\r\nHost: x\r\n\r\n")
    read_until(sock, b"\r\n\r\n")


def test_five_hundred_watches(descriptors):
    watches = []

    def handler(request):
        if request.path != "/watch":
            return text(200, "ok")
        watches.append(Watch())
        return Response(200, watches[-1])

    limits = Limits(workers=4, streams=600, setup_time=100)  # the last one waits for all the others
    with serving(handler, limits=limits, deadline=20) as server, contextlib.ExitStack() as stack:
        socks = [stack.enter_context(connected(server.port)) for _ in range(500)]
        for sock in socks:
            watching(sock)
        assert server.streams == 500
        assert ask(server.port, "GET", "/")[0] == 200
        for watch in watches:
            watch.events.put(b"an event")
        for sock in socks:
            read_until(sock, b"an event")
        # Half of the clients go, silently.
        for sock in socks[:250]:
            sock.close()
        eventually(lambda: server.streams == 250)
        # A thread each, four workers, two for intake, the poller.
        eventually(lambda: threads() <= 250 + 4 + 2 + 1)
        server.stop(Deadline(20))
        assert server.connections == 0


def test_five_hundred_idle_connections_cost_no_thread(descriptors):
    limits = Limits(workers=8, linger=0.01, setup_time=100)  # the first one waits for five hundred handshakes
    with (
        serving(echo, tls=server_tls(), limits=limits, deadline=20) as server,
        contextlib.ExitStack() as stack,
    ):
        context = client_tls()
        socks = [stack.enter_context(connected(server.port, context)) for _ in range(500)]
        for _ in range(2):
            for sock in socks:
                sock.sendall(GET)
            for sock in socks:
                assert read_response(sock)[:2] == (200, b"GET / ")
        assert server.connections == 500
        assert threads() <= 8 + 2 + 1


def test_more_clients_than_workers_all_get_their_answers():
    failures, count = [], 40

    def client(port):
        try:
            with http_client(port, timeout=30) as connection:
                for n in range(25):
                    connection.request("POST", f"/{n}", body=b"x" * n)
                    if connection.getresponse().read() != f"POST /{n} ".encode() + b"x" * n:
                        failures.append(n)
        except OSError as error:
            failures.append(error)

    with serving(echo, limits=Limits(workers=3)) as server:
        clients = [spawn(client, server.port, name=f"client-{n}") for n in range(count)]
        for thread in clients:
            thread.join()
    assert failures == []
