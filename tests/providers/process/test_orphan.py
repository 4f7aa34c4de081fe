"""A process whose supervisor was killed between its fork and the note of its pid."""

from __future__ import annotations

import os
import subprocess

import pytest
from support.waiting import eventually

from virtual_kubelet.providers.process.supervisor import container, processes
from virtual_kubelet.providers.process.supervisor.cgroups import Cgroups
from virtual_kubelet.providers.process.supervisor.outputs import Loop
from virtual_kubelet.providers.process.supervisor.protocol import MARKER
from virtual_kubelet.providers.process.supervisor.records import Record, RecordStore


@pytest.fixture
def adopted(tmp_path):
    """A container as a successor finds it: no pid has been noted."""
    loop = Loop()
    record = Record("one", {}, "", 0, 0, boot_id=processes.boot_id())
    (tmp_path / "pipes").mkdir()
    adopted = container.Container(
        record,
        loop=loop,
        store=RecordStore(tmp_path / "containers"),
        pipes=tmp_path / "pipes",
        cgroups=Cgroups(""),
        owner=str(tmp_path),
        on_change=lambda _: None,
    )
    yield adopted
    adopted._close_pidfd()
    loop.selector.close()


@pytest.fixture
def child(adopted):
    """A child that prepares itself until it is told to go on; it holds its status pipe open until then."""
    status = adopted._status_path
    os.mkfifo(status)
    reader = os.open(status, os.O_RDONLY | os.O_NONBLOCK)
    with status.open("wb") as writer:
        child = subprocess.Popen(
            ["sh", "-c", f"read go; exec env {MARKER}={adopted._mark} sleep 1000 >/dev/null"],
            stdin=subprocess.PIPE,
            stdout=writer,
            start_new_session=True,
        )
    os.close(reader)  # the supervisor's, which is killed
    yield child
    child.kill()
    child.communicate()


class Time:
    """The time of a container: it passes while that sleeps, and something may happen meanwhile."""

    def __init__(self):
        self.now = 0.0
        self.then = {}  # by the second at which it happens

    def monotonic(self):
        return self.now

    time = monotonic

    def sleep(self, _seconds):
        self.now += 0.5
        self.then.pop(self.now, lambda: None)()


@pytest.fixture
def time(monkeypatch):
    time = Time()
    monkeypatch.setattr(container, "time", time)
    return time


def test_one_that_takes_long_to_become_what_it_is_to_be_is_waited_for(adopted, child, time):
    def go_on():
        child.stdin.write(b"\n")
        child.stdin.flush()
        eventually(lambda: MARKER in processes.environment_of(child.pid))

    time.then[3.0] = go_on
    adopted.adopt()
    assert (adopted.record.state, adopted.record.pid) == ("running", child.pid)


def test_one_that_never_becomes_it_is_given_up(adopted, child, time):
    adopted.adopt()
    assert adopted.record.exit_code == container.UNKNOWN_EXIT
    assert container.PREPARATION_SECONDS < time.now < 2 * container.PREPARATION_SECONDS
