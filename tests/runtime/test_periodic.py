from __future__ import annotations

import threading

import pytest
from support.waiting import eventually

from virtual_kubelet.runtime.clock import SteppedClock
from virtual_kubelet.runtime.periodic import Periodic
from virtual_kubelet.runtime.threads import Deadline


@pytest.fixture
def clock():
    return SteppedClock()


@pytest.fixture
def running(clock):
    started = []

    def run(task, interval, **kwargs):
        periodic = Periodic(task, interval, name="p", clock=clock, **kwargs)
        started.append(periodic)
        periodic.start()
        return periodic

    yield run
    for periodic in started:
        periodic.stop(Deadline(10))


def test_runs_at_once_and_then_after_each_interval(clock, running):
    runs = []
    running(lambda: runs.append(clock.monotonic()), 10)
    for _ in range(3):
        clock.block_until(1)
        clock.advance(10)
    eventually(lambda: runs == [0, 10, 20, 30])


def test_the_first_run_can_wait(clock, running):
    runs = []
    running(lambda: runs.append(clock.monotonic()), 10, immediately=False)
    clock.block_until(1)
    assert runs == []
    clock.advance(10)
    eventually(lambda: runs == [10])


def test_jitter_lengthens_the_interval(clock, running):
    running(lambda: None, 10, jitter=0.5, chance=lambda: 0.5)
    clock.block_until(1)
    assert clock.next_deadline() == 12.5


def test_trigger_runs_it_now_and_again_after_a_run_under_way(clock, running):
    runs, inside, release = [], threading.Event(), threading.Event()

    def task():
        runs.append(clock.monotonic())
        if len(runs) == 2:
            inside.set()
            release.wait(30)

    periodic = running(task, 1000)
    clock.block_until(1)
    periodic.trigger()
    inside.wait(30)
    periodic.trigger()
    periodic.trigger()
    release.set()
    eventually(lambda: len(runs) == 3)
    clock.block_until(1)
    assert len(runs) == 3


def test_a_failing_run_is_logged_and_the_loop_lives(clock, running, caplog):
    runs = []

    def task():
        runs.append(1)
        raise RuntimeError("no luck")

    running(task, 1)
    for _ in range(11):
        clock.block_until(1)
        clock.advance(1)
    eventually(lambda: len(runs) == 12)
    clock.block_until(1)
    said = [record.getMessage() for record in caplog.records]
    assert said == ["p: no luck (for 0 s)", "p: no luck (for 10 s)"]
    assert caplog.text.count("Traceback") == 1


def test_stop_waits_for_the_run_and_ends_the_loop(clock):
    inside, release, runs = threading.Event(), threading.Event(), []

    def task():
        inside.set()
        release.wait(30)
        runs.append(1)

    periodic = Periodic(task, 1, name="p", clock=clock)
    periodic.start()
    inside.wait(30)
    release.set()
    periodic.stop(Deadline(10))
    assert runs == [1]
    periodic.start()
    periodic.stop(Deadline(10))
    assert runs == [1]


def test_a_task_may_stop_its_own_loop(clock):
    periodic = Periodic(lambda: periodic.stop(Deadline(1)), 1, name="p", clock=clock)
    periodic.start()
    eventually(lambda: not periodic._thread.is_alive())
