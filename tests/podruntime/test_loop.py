"""Task threads and the loop of timers and sockets."""

from __future__ import annotations

import selectors
import socket
import threading

import pytest
from support.waiting import eventually

from virtual_kubelet.podruntime.loop import Loop
from virtual_kubelet.podruntime.tasks import Tasks
from virtual_kubelet.runtime.clock import SteppedClock
from virtual_kubelet.runtime.threads import Deadline, spawn


@pytest.fixture
def clock():
    return SteppedClock()


@pytest.fixture
def loop(clock):
    loop = Loop("test-loop", clock)
    loop.start()
    yield loop
    loop.stop(Deadline(5))


def test_timers_run_in_their_order(loop, clock):
    seen = []
    loop.after(0.05, lambda: seen.append("late"))
    loop.after(0.01, lambda: seen.append("early"))
    loop.call(lambda: seen.append("now"))
    eventually(lambda: seen == ["now"])
    clock.advance(0.1)
    eventually(lambda: seen == ["now", "early", "late"])


def test_a_timer_can_be_taken_back(loop, clock):
    seen = []
    loop.after(0.02, lambda: seen.append("wrong")).cancel()
    loop.after(0.04, lambda: seen.append("right"))
    clock.advance(0.1)
    eventually(lambda: seen)
    assert seen == ["right"]


@pytest.mark.fails_inside
def test_a_failing_callback_does_not_end_the_loop(loop, caplog):
    seen = []
    loop.call(lambda: 1 / 0)
    loop.call(lambda: seen.append(1))
    eventually(lambda: seen)
    assert "ZeroDivisionError" in caplog.text


def test_sockets(loop):
    one, two = socket.socketpair()
    seen = []

    def ready(events):
        loop.forget(one)
        seen.append(one.recv(100))

    with one, two:
        loop.call(lambda: loop.watch(one, selectors.EVENT_READ, ready))
        two.send(b"hello")
        eventually(lambda: seen == [b"hello"])


def test_where_the_loop_stood_still_what_has_come_goes_before_the_timer_that_waits_for_it(loop, clock):
    one, two = socket.socketpair()
    standing, going_on = threading.Event(), threading.Event()
    timers, seen = [], []

    def ask(events):
        loop.watch(one, selectors.EVENT_READ, answered)
        timers.append(loop.after(1, lambda: seen.append("timed out")))
        standing.set()
        assert going_on.wait(30)

    def answered(events):
        loop.forget(one)
        seen.append("answered")
        timers[0].cancel()

    with one, two:
        loop.call(lambda: loop.watch(one, selectors.EVENT_WRITE, ask))
        assert standing.wait(30)
        two.send(b"in time")
        clock.advance(2)
        going_on.set()
        eventually(lambda: seen)
        over = threading.Event()
        loop.after(0, over.set)  # behind whatever else is due
        assert over.wait(30)
    assert seen == ["answered"]


def test_a_stopped_loop_runs_nothing_and_may_be_stopped_again():
    loop = Loop("test-loop")
    loop.start()
    loop.stop(Deadline(5))
    loop.stop(Deadline(5))
    loop.call(lambda: 1 / 0)
    loop.after(0, lambda: 1 / 0)
    never = Loop("never-started")
    never.stop(Deadline(1))


def test_tasks_use_no_more_threads_than_allowed_and_give_them_back():
    tasks = Tasks(3, "test-task")
    gate = threading.Event()
    names, lock = set(), threading.Lock()
    done = threading.Semaphore(0)

    def task():
        with lock:
            names.add(threading.current_thread().name)
        gate.wait(30)
        done.release()

    for _ in range(10):
        tasks.submit(task)
    eventually(lambda: len(names) == 3)
    gate.set()
    for _ in range(10):
        assert done.acquire(timeout=30)
    assert len(names) == 3
    eventually(lambda: not any(thread.name.startswith("test-task") for thread in threading.enumerate()))
    tasks.submit(done.release)
    assert done.acquire(timeout=30), "new work brings a new thread"
    tasks.stop(Deadline(5))


@pytest.mark.fails_inside
def test_a_failing_task_is_logged(caplog):
    tasks = Tasks(1, "test-task")
    done = threading.Event()
    tasks.submit(lambda: 1 / 0)
    tasks.submit(done.set)
    assert done.wait(30)
    tasks.stop(Deadline(5))
    assert "a task failed" in caplog.text


def test_stop_waits_for_what_runs_and_drops_what_waits():
    tasks = Tasks(1, "test-task")
    began, gate, seen = threading.Event(), threading.Event(), []

    def slow():
        began.set()
        gate.wait(30)
        seen.append("slow")

    tasks.submit(slow)
    tasks.submit(lambda: seen.append("dropped"))
    assert began.wait(30)
    stopping = spawn(tasks.stop, Deadline(30), name="test-stop")
    eventually(lambda: tasks._stopped)
    assert stopping.is_alive()
    gate.set()
    stopping.join(30)
    tasks.submit(lambda: seen.append("too late"))
    assert seen == ["slow"]
