"""Who sends what is queued, when several threads want to."""

from __future__ import annotations

import threading
from functools import partial

import pytest

from virtual_kubelet.web.outbox import MAX_ANSWERS, Outbox


class Queue:
    def __init__(self):
        self.data = b""

    def add(self, data):
        self.data += data

    @property
    def pending(self):
        return len(self.data)

    def data_to_send(self):
        data, self.data = self.data, b""
        return data


class Carrier:
    def __init__(self):
        self.sent = []

    def send(self, data, timeout):
        self.sent.append((data, timeout))


@pytest.fixture
def queue():
    return Queue()


@pytest.fixture
def carrier():
    return Carrier()


@pytest.fixture
def lock():
    return threading.Lock()


@pytest.fixture
def outbox(queue, lock, carrier):
    return Outbox(queue, lock, carrier)


def test_an_answer_goes_out_at_once(outbox, queue, carrier):
    queue.add(b"pong")
    assert outbox.answer(7)
    assert carrier.sent == [(b"pong", 7)]
    assert not outbox.answer(7)


def test_an_answer_waits_for_no_writers_bytes(outbox, queue, lock, carrier):
    with lock:
        outbox.claim(partial(queue.add, b"much"))
    queue.add(b"pong")
    assert not outbox.answer(7)
    assert carrier.sent == []
    assert outbox.flush(9)
    assert carrier.sent == [(b"muchpong", 9)]
    queue.add(b"pong")
    assert outbox.answer(7)


def test_who_asks_for_too_many_answers_waits(outbox, queue, lock, carrier):
    with lock:
        outbox.claim(partial(queue.add, b"much"))
    queue.add(bytes(MAX_ANSWERS + 1))
    assert outbox.answer(7)
    assert carrier.sent[0][1] == 7


def test_what_could_not_be_queued_is_claimed_by_nobody(outbox, queue, lock, carrier):
    def fails():
        queue.add(b"half")
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError), lock:
        outbox.claim(fails)
    assert outbox.answer(7), "no flush follows"


def test_an_answer_takes_no_writers_bytes_along_that_come_while_it_goes_out(
    outbox, queue, lock, carrier, monkeypatch
):
    """The reader would wait for the peer with them."""
    send = carrier.send

    def claimed_meanwhile(data, timeout):
        send(data, timeout)
        with lock:
            outbox.claim(partial(queue.add, b"much"))

    queue.add(b"pong")
    with monkeypatch.context() as patched:
        patched.setattr(carrier, "send", claimed_meanwhile)
        assert outbox.answer(7)
    assert carrier.sent == [(b"pong", 7)]
    assert outbox.flush(9)
    assert carrier.sent == [(b"pong", 7), (b"much", 9)]


def test_an_answer_takes_no_writers_bytes_along_that_come_just_before(
    outbox, queue, lock, carrier, monkeypatch
):
    flush = outbox._flush

    def claimed_meanwhile(*args, **options):
        with lock:
            outbox.claim(partial(queue.add, b"much"))
        return flush(*args, **options)

    queue.add(b"pong")
    with monkeypatch.context() as patched:
        patched.setattr(outbox, "_flush", claimed_meanwhile)
        assert not outbox.answer(7)
    assert carrier.sent == []
    assert outbox.flush(9)
    assert carrier.sent == [(b"pongmuch", 9)]


def test_it_is_idle_once_all_is_sent(outbox, queue, carrier, monkeypatch):
    send, looks = carrier.send, []

    def look(data, timeout):
        looks.append(outbox.idle)
        send(data, timeout)

    monkeypatch.setattr(carrier, "send", look)
    assert outbox.idle
    queue.add(b"much")
    assert not outbox.idle
    outbox.flush(9)
    assert looks == [False]
    assert outbox.idle
