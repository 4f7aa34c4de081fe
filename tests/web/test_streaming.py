"""The watch over a client that is being written to."""

from __future__ import annotations

from virtual_kubelet.runtime.threads import spawn
from virtual_kubelet.web.poller import Outcome
from virtual_kubelet.web.streaming import ClientWatch


class Poller:
    def wait(self, transport, events, tell):
        self.tell = tell
        return object()

    def cancel(self, registration):
        pass


class Workers:
    def __init__(self, told):
        self.submit = told.append


class Transport:
    """Has something to read ahead; asks meanwhile for the watch's end."""

    ahead = 0

    def read_ahead(self):
        self.stopper = spawn(self.watch.stop, name="stopper")
        self.stopper.join(0.2)
        self.stopped_meanwhile = not self.stopper.is_alive()
        return True


def test_a_socket_that_is_closed_already():
    class Closed:
        ahead = 0

        def read_ahead(self):
            return False

    class AtOnce(Poller):
        def wait(self, transport, events, tell):
            tell(Outcome.READY)

    told = []
    watch = ClientWatch(Closed(), AtOnce(), Workers(told), "gone")
    watch.start()
    watch.stop()
    assert told == ["gone"]


def test_nothing_is_read_ahead_once_the_watch_has_stopped():
    poller, transport = Poller(), Transport()
    transport.watch = ClientWatch(transport, poller, None, None)
    transport.watch.start()
    poller.tell(Outcome.READY)
    transport.stopper.join(30)
    assert not transport.stopped_meanwhile
    assert not transport.stopper.is_alive()
