"""The supervisor by itself: its protocol, its one life, and what it is made of."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.process_supervisor import LABELS, Agent, impostor, pids_of
from support.waiting import eventually

import virtual_kubelet
from virtual_kubelet.errors import Conflict, InvalidInput, NotFound, NotSupported
from virtual_kubelet.providers.process.supervisor import daemon, protocol
from virtual_kubelet.runtime.threads import Deadline

SCRIPT = Path(virtual_kubelet.__file__).parent / "providers/process/supervisor/__main__.py"


def descriptors_of(pid):
    return {entry.readlink() for entry in Path(f"/proc/{pid}/fd").iterdir()}


# -- frames

messages = st.dictionaries(
    st.text(max_size=5),
    st.one_of(st.none(), st.integers(), st.text(max_size=20), st.lists(st.text(max_size=5))),
).map(lambda item: {key: value for key, value in item.items() if key != "fds"})


@given(st.lists(messages, max_size=5), st.integers(1, 40))
@settings(max_examples=60)
def test_frames_survive_any_split(sent, size):
    data = b"".join(protocol.encode(message) for message in sent)
    reader = protocol.FrameReader()
    seen = [m for start in range(0, len(data), size) for m in reader.feed(data[start : start + size])]
    assert seen == [{**message, "fds": []} for message in sent]


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xff\xff\xff",
        b"\x00\x00\x00\x02[]",
        b"\x00\x00\x00\x02{x",
        b'\x00\x00\x00\x09{"fds":1}',
        b'\x00\x00\x00\x0b{"fds":"x"}',
    ],
)
def test_what_is_no_frame_is_refused(data):
    with pytest.raises(protocol.ProtocolError):
        list(protocol.FrameReader().feed(data))


def test_a_directory_of_any_length_can_hold_the_socket(tmp_path):
    directory = tmp_path / ("x" * 120)
    directory.mkdir()
    agent = Agent(directory)
    try:
        assert agent.call("list") == {"containers": [], "fds": []}
    finally:
        agent.call("shutdown")
        agent.client.stop(Deadline(10))


# -- one life


def test_it_is_made_of_the_standard_library_alone(directory):
    code = (
        f"import sys; sys.argv = ['x']; sys.path.append({str(Path(virtual_kubelet.__file__).parent.parent)!r});"
        "import virtual_kubelet.providers.process.supervisor.daemon;"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    ended = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True
    )
    others = set(ended.stdout.split()) - set(sys.stdlib_module_names)
    assert others == {"__main__", "virtual_kubelet"}


def test_many_that_start_at_once_are_one(directory):
    processes = [
        subprocess.Popen([sys.executable, "-I", "-S", str(SCRIPT), "--dir", str(directory)]) for _ in range(8)
    ]
    assert [process.wait(30) for process in processes] == [0] * 8
    agent = Agent(directory)
    agent.call("list")  # from now on it does not end by itself
    assert len(pids_of(directory)) == 1
    agent.call("shutdown")
    agent.client.stop(Deadline(10))
    eventually(lambda: not pids_of(directory))


def test_one_that_is_just_ending_is_followed_by_another(directory, agent):
    """It takes a connection in its last moment, and answers nothing."""
    with impostor(directory, lambda _connection: None):
        assert agent.call("list")["containers"] == []


def test_it_has_nothing_of_the_agents(agent, directory, monkeypatch):
    monkeypatch.setenv("AGENTS_SECRET", "hunter2")
    agent.start("exec sleep 100")
    [pid] = pids_of(directory)
    environment = Path(f"/proc/{pid}/environ").read_bytes()
    assert b"AGENTS_SECRET" not in environment
    assert os.getsid(pid) != os.getsid(0)
    assert Path(f"/proc/{pid}/cwd").readlink() == Path("/")
    child = agent.state()["pid"]
    # A program that begins opens its libraries, for a moment.
    eventually(lambda: len(descriptors_of(child)) == 3, message="it has more than stdin, stdout and stderr")
    assert b"AGENTS_SECRET" not in Path(f"/proc/{child}/environ").read_bytes()


def test_ignored_signals_are_not_passed_on(agent):
    agent.start("grep SigIgn /proc/self/status; exec sleep 100", log="")
    ignored = int(
        next(
            line.split()[1]
            for line in Path(f"/proc/{agent.state()['pid']}/status").read_text().splitlines()
            if line.startswith("SigIgn")
        ),
        16,
    )
    own = 0b11 << 31  # of the C library, which ignores them while it spawns: no program can change that
    assert ignored & ~own == 0


def test_a_terminated_supervisor_leaves_its_containers(agent, directory):
    agent.start("exec sleep 100")
    pid = agent.state()["pid"]
    [old] = pids_of(directory)
    os.kill(old, signal.SIGTERM)
    eventually(lambda: old not in pids_of(directory))
    assert eventually(agent.state_once_connected)["pid"] == pid
    os.kill(pid, 0)


def test_as_a_service_it_stays(directory):
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "virtual_kubelet.providers.process.supervisor",
            "--dir",
            str(directory),
            "--foreground",
        ],
        cwd="/",
    )
    try:
        eventually((directory / "supervisor.sock").exists)
        agent = Agent(directory)
        agent.call("list")
        agent.client.stop(Deadline(10))
        assert process.poll() is None
        assert (directory.stat().st_mode & 0o777, (directory / "supervisor.sock").stat().st_mode & 0o777) == (
            0o700,
            0o600,
        )
    finally:
        process.terminate()
        assert process.wait(30) == 0


def test_a_log_that_cannot_be_written_ends_nobody(tmp_path):
    log = daemon._logger(tmp_path)
    log("first")
    tmp_path.joinpath(daemon.LOG_NAME).unlink()
    tmp_path.rmdir()  # as little of use as a full disk
    log("second")


# -- requests


def test_a_container_is_started_once(agent):
    first = agent.start("exec sleep 100")
    again = agent.start("echo something else")
    assert first["pid"] == again["pid"]
    agent.call("kill", container="one")
    ended = agent.wait_exit()
    assert (ended["exit_code"], ended["signal"]) == (137, 9)
    assert agent.start("exec sleep 100")["state"] == "exited", "not even after its end"


def test_it_tells_of_each_change(agent):
    agent.start("exit 3")
    eventually(lambda: [item["state"] for item in agent.told] == ["running", "exited"])
    assert agent.told[-1]["exit_code"] == 3
    assert agent.told[-1]["labels"] == LABELS


def test_what_cannot_be_asked(agent):
    agent.start("exec sleep 100")
    with pytest.raises(NotFound):
        agent.call("signal", container="other")
    with pytest.raises(InvalidInput, match="not a signal"):
        agent.call("signal", container="one", signal="LOUD")
    with pytest.raises(InvalidInput, match="cannot name a container"):
        agent.call("start", container="../x", labels={}, argv=["true"])
    with pytest.raises(InvalidInput, match="argv"):
        agent.call("start", container="two", labels={}, argv=[])
    with pytest.raises(InvalidInput, match="NUL"):
        agent.call("start", container="two", labels={}, argv=["a\0b"])
    with pytest.raises(InvalidInput, match="variable"):
        agent.call("start", container="two", labels={}, argv=["true"], env={"A=B": "x"})
    with pytest.raises(InvalidInput, match="descriptors"):
        agent.call("exec", container="one", argv=["true"])
    with pytest.raises(NotSupported):
        agent.call("make tea")
    with pytest.raises(Conflict, match="cannot be removed"):
        agent.call("remove", container="one")
    with pytest.raises(Conflict, match="1 containers run"):
        agent.call("shutdown")
    assert agent.call("remove", container="never there")["fds"] == []


def test_output_of_a_command_is_kept_up_to_a_limit(agent):
    agent.start("exec sleep 100")
    result = agent.call("run", container="one", argv=["sh", "-c", "yes | head -c 100000; exit 2"], limit=1000)
    assert (len(result["output"]), result["exit_code"]) == (1000, 2)


def test_a_command_that_takes_too_long_is_killed_with_its_children(agent):
    agent.start("exec sleep 100")
    command = {"container": "one", "argv": ["sh", "-c", "sleep 1234 & echo $!; wait"]}
    result = agent.call("run", **command, timeout=2.0)
    if not result["output"]:  # it stood still for so long
        result = agent.call("run", **command, timeout=20.0)
    assert (result["timed_out"], result["exit_code"]) == (True, 137)
    child = int(result["output"])
    eventually(lambda: not Path(f"/proc/{child}").exists())


def test_a_reader_of_a_log_that_goes_leaves_no_descriptor(agent, directory):
    agent.start("exec sleep 100", log=str(directory / "0.log"))
    [supervisor] = pids_of(directory)
    before = descriptors_of(supervisor)
    reader, writer = os.pipe()
    assert agent.call("follow", container="one", fds=[writer])["following"]
    assert len(descriptors_of(supervisor) - before) == 1
    os.close(writer)
    os.close(reader)
    eventually(lambda: descriptors_of(supervisor) == before, message="it waits for the container to print")


def test_an_agent_of_another_protocol_is_told(directory, agent):
    agent.call("list")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        with protocol.unix_address(directory / protocol.SOCKET_NAME) as address:
            sock.connect(address)
        sock.sendall(protocol.encode({"id": 1, "op": "hello", "protocols": [99]}))
        [answer] = protocol.FrameReader().feed(sock.recv(65536))
        assert answer["error"]["code"] == "protocol"
        sock.sendall(b"\xff" * 100)
        assert sock.recv(100) == b"", "nonsense ends the connection"
    assert agent.call("list")["containers"] == [], "and nobody else's"


def test_records_hold_neither_arguments_nor_environment(agent, directory):
    agent.start("exec sleep 100 # hunter2")
    [path] = (directory / "containers").glob("*.json")
    assert "hunter2" not in path.read_text()
    assert json.loads(path.read_text())["state"] == "running"
