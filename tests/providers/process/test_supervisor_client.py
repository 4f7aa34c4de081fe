"""The agent's end of the supervisor, while connections, descriptors and answers come too late or not at all."""

from __future__ import annotations

import os
import resource
import signal
import threading

import pytest
from support.process_supervisor import impostor, pids_of, running_agent
from support.waiting import eventually

from virtual_kubelet.errors import Unavailable
from virtual_kubelet.providers.process.config import ProcessConfig
from virtual_kubelet.providers.process.driver import ProcessDriver
from virtual_kubelet.providers.process.supervisor import protocol
from virtual_kubelet.runtime.clock import SteppedClock, SystemClock
from virtual_kubelet.runtime.threads import Deadline, spawn


@pytest.fixture
def pipe():
    reader, writer = os.pipe()
    yield reader, writer
    os.close(reader)
    os.close(writer)


def until_its_end(connection):
    while connection.recv(65536):
        pass


def test_a_connection_that_cannot_be_made_for_want_of_descriptors_is_tried_again(agent, directory, caplog):
    agent.call("list")
    [supervisor] = pids_of(directory)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        os.kill(supervisor, signal.SIGKILL)
        eventually(lambda: "cannot be reached: [Errno 24]" in caplog.text)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    eventually(lambda: agent.client.connected)
    assert agent.call("list")["containers"] == []


class LateRiser(SystemClock):
    """Its first caller wakes only when the connection that it waited for has come and gone."""

    def __init__(self):
        self.agent = None
        self.connected = threading.Event()

    def wait(self, condition, timeout):
        if timeout is None or self.agent is None:
            return super().wait(condition, timeout)
        client, self.agent = self.agent.client, None
        return condition.wait_for(lambda: self.connected.is_set() and not client._wanted, timeout)


def test_a_connection_that_has_gone_before_its_caller_wakes_is_made_again(directory):
    clock = LateRiser()

    def greet_and_go(connection):
        connection.recv(65536)
        connection.sendall(protocol.encode({"id": 1, "result": {"protocol": 1}}))
        clock.connected.set()

    with running_agent(directory, clock=clock) as agent, impostor(directory, greet_and_go):
        clock.agent = agent
        assert agent.call("list")["containers"] == []


def test_a_stop_ends_a_connection_that_was_not_greeted(directory):
    connected = threading.Event()
    outcome = []

    def stand_still(connection):
        connected.set()
        until_its_end(connection)

    with running_agent(directory) as agent, impostor(directory, stand_still):

        def call():
            with pytest.raises(Unavailable) as raised:
                agent.call("list")
            outcome.append(str(raised.value))

        caller = spawn(call, name="test-caller")
        assert connected.wait(30)
        agent.client.stop(Deadline(30))
        caller.join(30)
        assert not agent.client._thread.is_alive()
    assert outcome == ["the process provider is not running"]


def test_an_answer_that_comes_too_late_holds_no_input_open(agent, directory, pipe):
    agent.start("cat; exit 3", stdin=True)
    [supervisor] = pids_of(directory)
    os.kill(supervisor, signal.SIGSTOP)
    try:
        with pytest.raises(Unavailable, match="did not answer attach"):
            agent.call("attach", container="one", streams=["stdout"], fds=[pipe[1]], within=0.1)
    finally:
        os.kill(supervisor, signal.SIGCONT)
    agent.call("close_stdin", container="one")  # nobody but the supervisor has it
    assert agent.wait_exit()["exit_code"] == 3


def test_a_probe_waits_for_no_connection_but_has_one_made(tmp_path):
    connected = threading.Event()
    results = []

    def stand_still(connection):
        connected.set()
        until_its_end(connection)

    # On a clock that stands still no wait would end.
    driver = ProcessDriver(ProcessConfig(tmp_path, tmp_path / "logs"), clock=SteppedClock())
    driver._client.start()
    with impostor(tmp_path / "supervisor", stand_still):
        driver.run("one", ["true"], 1.0, results.append)
        assert [result.error for result in results] == ["the supervisor cannot be reached"]
        assert connected.wait(30)
        driver.close(Deadline(30))
