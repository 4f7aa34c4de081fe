from __future__ import annotations

import threading

import pytest

from virtual_kubelet.runtime.services import ServiceGroup
from virtual_kubelet.runtime.threads import Deadline, spawn


class Recorder:
    def __init__(self, log, name, *, start=None, stop=None):
        self.log, self.name = log, name
        self._start, self._stop = start, stop

    def start(self):
        self.log.append(f"start {self.name}")
        if self._start:
            self._start()

    def stop(self, deadline):
        self.log.append(f"stop {self.name}")
        if self._stop:
            self._stop()


def boom():
    raise RuntimeError("boom")


def test_starts_in_order_and_stops_in_reverse():
    log = []
    group = ServiceGroup([Recorder(log, name) for name in "abc"])
    group.start()
    group.stop(Deadline(1))
    group.stop(Deadline(1))
    assert log == ["start a", "start b", "start c", "stop c", "stop b", "stop a"]


def test_a_failed_start_stops_what_had_started():
    log = []
    group = ServiceGroup([Recorder(log, "a"), Recorder(log, "b", start=boom), Recorder(log, "c")])
    with pytest.raises(RuntimeError, match="boom"):
        group.start()
    group.stop(Deadline(1))
    assert log == ["start a", "start b", "stop a"]


@pytest.mark.fails_inside
def test_a_failing_stop_keeps_nobody_alive(caplog):
    log = []
    group = ServiceGroup([Recorder(log, "a"), Recorder(log, "b", stop=boom)])
    group.start()
    group.stop(Deadline(1))
    assert log[-2:] == ["stop b", "stop a"]
    assert "Recorder could not be stopped" in caplog.text


def test_stop_before_start():
    log = []
    group = ServiceGroup([Recorder(log, "a")])
    group.stop(Deadline(1))
    group.start()
    assert log == []


def test_stop_reaches_a_service_that_is_still_starting():
    log = []
    starting, release = threading.Event(), threading.Event()

    def slow():
        starting.set()
        release.wait(30)

    group = ServiceGroup([Recorder(log, "a"), Recorder(log, "b", start=slow), Recorder(log, "c")])
    starter = spawn(group.start, name="starter")
    starting.wait(30)
    group.stop(Deadline(1))
    release.set()
    starter.join(30)
    # b hears of the stop twice: the first time may have come before it had anything to stop
    assert log == ["start a", "start b", "stop b", "stop a", "stop b"]
