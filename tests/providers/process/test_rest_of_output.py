"""What is in a pipe when its process has ended and the time for reading it is over: we may have stood still."""

from __future__ import annotations

import os
import selectors
import time

import pytest

from virtual_kubelet.providers.process.supervisor.cgroups import Cgroups
from virtual_kubelet.providers.process.supervisor.container import Container
from virtual_kubelet.providers.process.supervisor.execution import Execution
from virtual_kubelet.providers.process.supervisor.outputs import Loop
from virtual_kubelet.providers.process.supervisor.records import Record, RecordStore
from virtual_kubelet.providers.process.supervisor.streams import ChildEnds

LATE = 100.0


@pytest.fixture
def loop():
    loop = Loop()
    yield loop
    loop.selector.close()


@pytest.fixture
def running(loop, tmp_path):
    """A container that runs, as far as it knows."""
    record = Record("one", {}, str(tmp_path / "0.log"), 1_000_000, 5, state="running")
    (tmp_path / "pipes").mkdir()
    return Container(
        record,
        loop=loop,
        store=RecordStore(tmp_path / "containers"),
        pipes=tmp_path / "pipes",
        cgroups=Cgroups(""),
        owner="o",
        on_change=lambda _: None,
    )


@pytest.mark.parametrize("terminal", [False, True])
def test_of_a_container(running, tmp_path, terminal):
    ends = ChildEnds()
    running._streams.make(ends, terminal=terminal, stdin=False, owner=None)
    running._open_log()
    running._streams.watch()
    os.write(ends.stdout, b"last words\n")
    running._drain()
    running.tick(time.monotonic() + LATE)  # somebody else holds the other side open: there is no end to see
    ends.close()
    assert running.record.state == "exited"
    end = "\r\n" if terminal else "\n"
    assert (tmp_path / "0.log").read_bytes().decode().endswith(f" stdout F last words{end}")


def test_of_a_command(running, loop):
    results = []
    execution = Execution(loop, running, lambda _, result: results.append(result))
    execution._limit = 100
    execution._capture, writer = os.pipe()
    os.set_blocking(execution._capture, False)
    loop.watch(execution._capture, selectors.EVENT_READ, execution._on_output)
    os.write(writer, b"last words")
    execution.ended(0)
    execution.tick(time.monotonic() + LATE)
    os.close(writer)
    assert [(item["exit_code"], item["output"]) for item in results] == [(0, "last words")]
    assert not execution.busy
