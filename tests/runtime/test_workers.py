from __future__ import annotations

import threading

import pytest
from support.waiting import eventually

from virtual_kubelet.errors import Unavailable
from virtual_kubelet.runtime.clock import SteppedClock
from virtual_kubelet.runtime.threads import Deadline, spawn
from virtual_kubelet.runtime.workers import Workers
from virtual_kubelet.runtime.workqueue import WorkQueue


@pytest.fixture
def clock():
    return SteppedClock()


@pytest.fixture
def queue(clock):
    return WorkQueue("test", clock=clock)


@pytest.fixture
def running():
    started = []

    def run(*args, **kwargs):
        workers = Workers(*args, **kwargs)
        started.append(workers)
        workers.start()
        return workers

    yield run
    for workers in started:
        workers.stop(Deadline(10))


def test_a_result_is_the_time_of_the_next_look(queue, clock, running):
    looks = []
    answers = iter([5.0, None])
    running(queue, lambda key: (looks.append(clock.monotonic()), next(answers))[1], 1, "w")
    queue.add("key")
    eventually(lambda: looks)
    clock.block_until(1)
    clock.advance(5)
    eventually(lambda: looks == [0.0, 5.0])
    eventually(lambda: len(queue) == 0 and queue.in_hand() == 0)


@pytest.mark.fails_inside
@pytest.mark.parametrize(
    ("error", "wait", "traceback"),
    [
        (Unavailable("busy"), 0.005, False),
        (Unavailable("busy", retry_after=8), 8, False),
        (ZeroDivisionError("busy"), 0.005, True),
    ],
)
def test_an_error_is_tried_again_by_the_keys_own_back_off(
    queue, clock, running, caplog, error, wait, traceback
):
    failures = iter([error])

    def handle(key):
        for failure in failures:
            raise failure

    running(queue, handle, 2, "w")
    queue.add("ns/pod")
    clock.block_until(1)
    assert clock.next_deadline() == wait
    assert queue.failures("ns/pod") == 1
    clock.advance(wait)
    eventually(lambda: queue.failures("ns/pod") == 0)
    assert "ns/pod failed" in caplog.text
    assert "busy" in caplog.text
    assert ("Traceback" in caplog.text) is traceback


def test_stop_finishes_what_is_in_hand_and_drops_the_rest(queue):
    begun, release, finished = threading.Event(), threading.Event(), []

    def handle(key):
        begun.set()
        release.wait(30)
        finished.append(key)

    workers = Workers(queue, handle, 1, "w")
    workers.start()
    workers.start()  # twice is once
    queue.add("in hand")
    queue.add("queued")
    assert begun.wait(30)
    stopper = spawn(workers.stop, Deadline(30), name="stopper")
    eventually(lambda: queue._closed)
    release.set()
    stopper.join(30)
    assert finished == ["in hand"]
    workers.start()
    workers.stop(Deadline(10))


def test_a_stuck_handler_does_not_hold_up_a_stop(queue, caplog):
    begun, release = threading.Event(), threading.Event()

    def handle(key):
        begun.set()
        release.wait(30)

    workers = Workers(queue, handle, 1, "stuck", daemon=True)
    workers.start()
    queue.add("key")
    begun.wait(30)
    workers.stop(Deadline(0.05))
    assert "stuck-0" in caplog.text
    release.set()
    workers.stop(Deadline(10))


def test_no_workers_cannot_work(queue):
    with pytest.raises(ValueError, match="0 workers"):
        Workers(queue, lambda key: None, 0, "w")
