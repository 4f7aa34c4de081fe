from __future__ import annotations

import threading

from hypothesis import given
from hypothesis import strategies as st
from support.waiting import eventually

from virtual_kubelet.runtime.clock import SteppedClock
from virtual_kubelet.runtime.threads import spawn
from virtual_kubelet.web.pipes import Budget, Pipe


def pipe(limit=100):
    budget = Budget(limit)
    return Pipe(budget), budget


@given(st.lists(st.binary(max_size=20), max_size=20), st.integers(1, 30))
def test_what_goes_in_comes_out(pieces, size):
    stream, budget = pipe()
    for piece in pieces:
        stream.feed(piece)
    stream.end()
    assert budget.used == sum(map(len, pieces))
    out = []
    while data := stream.read(size):
        assert len(data) <= size
        out.append(data)
    assert b"".join(out) == b"".join(pieces)
    assert budget.used == 0


def test_read_waits_for_bytes_and_for_the_end():
    stream, _ = pipe()
    out = []
    thread = spawn(lambda: out.extend([stream.read(10), stream.read(10)]), name="consumer")
    stream.feed(b"hello")
    eventually(lambda: not stream._pieces)
    stream.end()
    thread.join(30)
    assert out == [b"hello", b""]
    stream.feed(b"after the end")
    assert stream.read(10) == b""


def test_close_drops_everything_and_wakes_the_reader():
    stream, budget = pipe()
    out = []
    thread = spawn(lambda: out.append(stream.read(10)), name="consumer")
    stream.close()
    thread.join(30)
    assert out == [b""]
    stream.feed(b"late")
    assert budget.used == 0
    other = Pipe(budget)
    other.feed(b"held")
    assert budget.used == 4
    other.close()
    assert budget.used == 0


def test_a_cut_leaves_what_was_whole():
    stream, _ = pipe()
    stream.feed(b"whole")
    stream.end()
    stream.cut()
    assert stream.read(10) == b"whole"
    assert stream.read(10) == b""
    other, budget = pipe()
    other.feed(b"half")
    other.cut()
    assert (other.read(10), budget.used) == (b"", 0)


def test_a_diverted_pipe_holds_nothing():
    stream, budget = pipe()
    taken = []
    stream.divert(taken.append)
    stream.feed(b"a")
    stream.feed(b"b")
    assert (taken, budget.used) == ([b"a", b"b"], 0)


def test_room_comes_when_a_consumer_takes():
    stream, budget = pipe(limit=10)
    assert budget.wait_for_room(0)
    stream.feed(b"0123456789")
    assert not budget.wait_for_room(0)
    passed = threading.Event()
    thread = spawn(lambda: budget.wait_for_room(None) and passed.set(), name="reader")
    assert stream.read(1) == b"0"
    assert passed.wait(30)
    thread.join(30)


def test_an_abandoned_budget_holds_nobody_up():
    stream, budget = pipe(limit=1)
    stream.feed(b"full")
    thread = spawn(budget.wait_for_room, None, name="reader")
    budget.abandon()
    thread.join(30)
    assert not thread.is_alive()
    assert budget.wait_for_room(None)


def test_waiting_for_room_ends_by_the_clock():
    clock = SteppedClock()
    budget = Budget(1, clock=clock)
    budget.take(1)
    results = []
    thread = spawn(lambda: results.append(budget.wait_for_room(30)), name="reader")
    clock.block_until(1)
    clock.advance(30)
    thread.join(30)
    assert results == [False]
