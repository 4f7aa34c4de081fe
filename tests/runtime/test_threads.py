from __future__ import annotations

import logging
import threading

import pytest

from virtual_kubelet.runtime.clock import SteppedClock
from virtual_kubelet.runtime.threads import Deadline, StopSignal, join_all, spawn


@pytest.mark.fails_inside
def test_an_error_that_leaves_a_thread_is_logged_with_its_name(caplog):
    spawn(lambda: 1 / 0, name="worker-7").join(30)
    assert "thread worker-7 ended by an error" in caplog.text
    assert "ZeroDivisionError" in caplog.text


def test_join_all_names_the_late(caplog):
    release = threading.Event()
    late = spawn(release.wait, name="late")
    done = spawn(lambda: None, name="done")
    done.join(30)
    with caplog.at_level(logging.WARNING):
        assert join_all([late, done, threading.current_thread()], Deadline(0.05)) == ["late"]
    assert "did not end in time: late" in caplog.text
    release.set()
    assert join_all([late], Deadline(30)) == []


def test_a_deadline_is_computed_once():
    clock = SteppedClock()
    deadline = Deadline(10, clock)
    clock.advance(4)
    assert deadline.remaining() == 6
    assert not deadline.expired
    clock.advance(7)
    assert deadline.remaining() == 0
    assert deadline.expired


def test_a_stop_signal_wakes_and_stays():
    clock = SteppedClock()
    signal = StopSignal(clock)
    results = []
    waiter = spawn(lambda: results.append(signal.wait(60)), name="waiter")
    clock.block_until(1)
    signal.set()
    waiter.join(30)
    assert results == [True]
    assert signal.is_set()
    assert signal.wait(60)


def test_a_stop_signal_can_time_out():
    clock = SteppedClock()
    signal = StopSignal(clock)
    results = []
    waiter = spawn(lambda: results.append(signal.wait(60)), name="waiter")
    clock.block_until(1)
    clock.advance(60)
    waiter.join(30)
    assert results == [False]


@pytest.mark.fails_inside
def test_stop_callbacks_run_once_and_survive_each_other(caplog):
    signal = StopSignal()
    calls = []
    forgotten = lambda: calls.append("forgotten")  # noqa: E731
    signal.on_set(lambda: calls.append("first"))
    signal.on_set(forgotten)
    signal.on_set(lambda: 1 / 0)
    signal.on_set(lambda: calls.append("last"))
    signal.forget(forgotten)
    signal.forget(forgotten)
    signal.set()
    signal.set()
    assert calls == ["first", "last"]
    assert "a stop callback failed" in caplog.text
    signal.on_set(lambda: calls.append("late"))
    assert calls[-1] == "late"


def test_a_callback_may_use_the_signal():
    signal = StopSignal()
    seen = []
    signal.on_set(lambda: seen.append(signal.is_set() and signal.wait(0)))
    signal.set()
    assert seen == [True]


@pytest.mark.parametrize("daemon", [True, False])
def test_daemon_is_the_owners_choice(daemon):
    thread = spawn(lambda: None, name="x", daemon=daemon)
    thread.join(30)
    assert thread.daemon is daemon
