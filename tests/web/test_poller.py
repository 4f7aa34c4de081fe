from __future__ import annotations

import os
import selectors
import socket
import threading

import pytest
from support.waiting import eventually

from virtual_kubelet.runtime.clock import SteppedClock
from virtual_kubelet.runtime.threads import Deadline
from virtual_kubelet.web.poller import Outcome, Poller
from virtual_kubelet.web.transport import Transport

READ = selectors.EVENT_READ


@pytest.fixture
def poller():
    made = Poller("poller")
    made.start()
    yield made
    made.stop(Deadline(30))


@pytest.fixture
def ends():
    left, right = socket.socketpair()
    transport = Transport(left)
    yield transport, right
    transport.close()
    right.close()


class Calls:
    def __init__(self):
        self.outcomes = []
        self.event = threading.Event()

    def __call__(self, outcome):
        self.outcomes.append(outcome)
        self.event.set()

    def wait(self):
        assert self.event.wait(30)
        return self.outcomes


def test_ready_comes_once(poller, ends):
    transport, peer = ends
    calls = Calls()
    poller.wait(transport, READ, calls)
    assert not calls.outcomes
    peer.send(b"x")
    assert calls.wait() == [Outcome.READY]
    peer.send(b"y")
    again = Calls()
    poller.wait(transport, READ, again)
    assert again.wait() == [Outcome.READY]
    assert calls.outcomes == [Outcome.READY]


def test_time_is_over(poller, ends):
    calls = Calls()
    poller.wait(ends[0], READ, calls, 0.01)
    assert calls.wait() == [Outcome.EXPIRED]


def test_a_timer_needs_no_event(poller, ends):
    transport, peer = ends
    peer.send(b"x")
    calls = Calls()
    poller.wait(transport, 0, calls, 0.02)
    assert calls.wait() == [Outcome.EXPIRED]


def test_the_earliest_timer_comes_first():
    clock = SteppedClock()
    poller = Poller("poller", clock=clock)
    poller.start()
    pairs = [socket.socketpair() for _ in range(3)]
    transports = [Transport(left) for left, _ in pairs]
    order, done = [], Calls()
    for transport, seconds in zip(transports, (0.06, 0.02, 0.04), strict=True):
        poller.wait(transport, READ, lambda _, s=seconds: order.append(s), seconds)
    clock.advance(0.05)
    poller.wait(transports[0], 0, done, 0)
    done.wait()
    assert order == [0.02, 0.04]
    clock.advance(0.05)
    eventually(lambda: order == [0.02, 0.04, 0.06])
    poller.stop(Deadline(30))
    for transport, (_, right) in zip(transports, pairs, strict=True):
        transport.close()
        right.close()


def test_a_closed_target_is_ready_at_once(poller, ends):
    transport, _ = ends
    transport.close()
    calls = Calls()
    poller.wait(transport, READ, calls)
    assert calls.outcomes == [Outcome.READY]


def test_closing_a_waiting_target_wakes_and_closes_it(poller, ends):
    transport, _ = ends
    calls = Calls()
    poller.wait(transport, READ, calls)
    transport.close()
    assert calls.wait() == [Outcome.READY]
    eventually(lambda: transport.fileno() == -1)


def test_a_cancelled_wait_frees_its_target(poller, ends):
    transport, peer = ends
    first, second = Calls(), Calls()
    entry = poller.wait(transport, READ, first, 30)
    poller.cancel(entry)
    poller.wait(transport, READ, second)
    peer.send(b"x")
    assert second.wait() == [Outcome.READY]
    assert not first.outcomes
    poller.cancel(entry)  # too late, and no harm
    transport.close()
    eventually(lambda: transport.fileno() == -1)


def test_cancel_after_the_end_changes_nothing(poller, ends):
    transport, peer = ends
    peer.send(b"x")
    calls = Calls()
    entry = poller.wait(transport, READ, calls)
    calls.wait()
    poller.cancel(entry)
    again = Calls()
    poller.wait(transport, READ, again)
    assert again.wait() == [Outcome.READY]


@pytest.mark.fails_inside
def test_a_failing_callback_is_logged_and_the_poller_lives(poller, ends, caplog):
    def fail(_):
        raise RuntimeError("oops")

    transport, peer = ends
    peer.send(b"x")
    poller.wait(transport, READ, fail)
    calls = Calls()
    eventually(lambda: "a callback failed" in caplog.text)
    poller.wait(transport, READ, calls)
    assert calls.wait() == [Outcome.READY]


@pytest.mark.fails_inside
def test_a_target_that_cannot_be_waited_for_ends_its_own_wait_only(poller, ends, caplog):
    transport, peer = ends
    left, right = socket.socketpair()
    with right, left:
        lost = Transport(left)
        os.close(left.detach())
        good, bad = Calls(), Calls()
        poller.wait(transport, READ, good, 1000)
        poller.wait(lost, READ, bad, 1000)
        assert bad.wait() == [Outcome.EXPIRED]
        assert "a socket cannot be waited for" in caplog.text
        assert not good.outcomes
        peer.send(b"x")
        assert good.wait() == [Outcome.READY]
        eventually(lambda: lost._users == 0)


def test_stop_ends_every_wait(ends):
    poller = Poller("poller")
    poller.start()
    calls, timer, late = Calls(), Calls(), Calls()
    left, right = socket.socketpair()
    other = Transport(left)
    poller.wait(ends[0], READ, calls)
    poller.wait(other, 0, timer, 100)
    poller.stop(Deadline(30))
    assert calls.outcomes == [Outcome.STOPPED]
    assert timer.outcomes == [Outcome.STOPPED]
    poller.wait(ends[0], READ, late)
    assert late.outcomes == [Outcome.STOPPED]
    poller.stop(Deadline(5))
    other.close()
    right.close()


def test_ended_waits_leave_no_heap_of_timers(poller, ends):
    transport, peer = ends
    peer.send(b"x")
    for _ in range(300):
        calls = Calls()
        poller.wait(transport, READ, calls, 1000)
        calls.wait()
    assert len(poller._timers) < 100
