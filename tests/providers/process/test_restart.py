"""Agents and supervisors come and go; containers stay, and nothing is started twice."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from support.files import below
from support.process_agent import Agent
from support.process_pods import Node, container, make_pod
from support.waiting import eventually

from virtual_kubelet.errors import NotFound
from virtual_kubelet.providers.process.supervisor.processes import start_time


@pytest.fixture
def state(tmp_path):
    """A state directory; whatever still runs at the end is ended."""
    path = tmp_path / "state"
    yield path
    node = Node(path)
    node.purge()


def supervisor_pid(state):
    """Return the pid of the supervisor, by its command line; what leads a session has only started one."""
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            words = (entry / "cmdline").read_bytes().split(b"\0")
            if str(state / "supervisor").encode() in words and b"--dir" in words:
                pid = int(entry.name)
                if os.getsid(pid) != pid:
                    return pid
    return 0


def records(state):
    found = {}
    for path in (state / "supervisor" / "containers").glob("*.json"):
        with contextlib.suppress(FileNotFoundError):  # removed meanwhile
            record = json.loads(path.read_text())
            found[record["id"]] = record
    return found


def log_of(record):
    path = Path(record["log"])
    return path.read_text() if path.exists() else ""


def test_containers_outlive_a_closed_agent(state):
    first = Node(state)
    pod = first.run(make_pod(container("echo up; exec sleep 1000")))
    first.wait_state(pod, "running")
    eventually(lambda: first.logs(pod) == "up\n")
    pid = next(iter(records(state).values()))["pid"]
    first.close()
    os.kill(pid, 0)
    second = Node(state)
    second.context.api_pods = [pod]
    try:
        eventually(lambda: second.statuses.get(pod["metadata"]["uid"]))
        assert second.phase(pod) == "Running"
        assert second.containers(pod)["c"]["restartCount"] == 0
        assert second.logs(pod) == "up\n"
        assert [item["pid"] for item in records(state).values()] == [pid]
        assert second.context.reasons() == []
    finally:
        second.close()


def test_exit_codes_are_not_lost_while_no_agent_runs(state):
    first = Node(state)
    pod = first.run(make_pod(container("read line; exit 42", stdin=True)))
    first.wait_state(pod, "running")
    pid = next(iter(records(state).values()))["pid"]
    first.close()
    os.kill(pid, signal.SIGUSR1)
    eventually(lambda: next(iter(records(state).values()))["state"] == "exited")
    second = Node(state)
    try:
        ended = second.wait_phase(pod, "Failed")["containerStatuses"][0]["state"]["terminated"]
        assert (ended["exitCode"], ended["signal"]) == (138, 10)
    finally:
        second.close()


def test_secrets_are_not_written_to_the_state_directory(state):
    node = Node(state)
    try:
        item = container("echo $TOKEN; exec sleep 1000", env=[{"name": "SECRET_TOKEN", "value": "hunter2"}])
        pod = node.run(make_pod(item))
        node.wait_state(pod, "running")
        for path in filter(Path.is_file, below(state)):
            with contextlib.suppress(FileNotFoundError):  # replaced meanwhile
                assert b"hunter2" not in path.read_bytes(), path
    finally:
        node.close()


def test_an_agent_killed_at_any_moment(state):
    """Agents are killed at random moments while pods start, crash, end and go."""
    chance = random.Random(7)
    pods = [make_pod(container("echo start; exec sleep 1000"), name=f"long-{n}") for n in range(6)]
    pods += [make_pod(container(f"echo start; exit {n}"), name=f"short-{n}") for n in range(4)]
    pods += [
        make_pod(container("echo start; exit 1"), name=f"crash-{n}", restartPolicy="OnFailure")
        for n in range(4)
    ]
    for count in range(5):
        agent = Agent(state, pods[: 4 + 3 * count], wait=count % 2 == 0)
        try:
            agent.process.wait(chance.uniform(0.1, 0.8))
        except subprocess.TimeoutExpired:
            agent.kill()
    node = Node(state)
    node.context.api_pods = pods
    try:
        eventually(lambda: node.status(pods[0]))
        for pod in pods:
            node.provider.create_pod(pod)
        for pod in pods:
            if pod["metadata"]["name"].startswith("long"):
                node.wait_state(pod, "running", timeout=30)
            elif pod["metadata"]["name"].startswith("short"):
                eventually(lambda pod=pod: node.phase(pod) in {"Succeeded", "Failed"}, 30)
            else:
                eventually(lambda pod=pod: node.state(pod).get("waiting"), 30)
        started = Counter()
        for pod in pods:
            for item in records(state).values():
                if item["labels"]["uid"] == pod["metadata"]["uid"]:
                    started[pod["metadata"]["name"]] += 1
                    eventually(lambda item=item: "start" in log_of(item))
                    log = log_of(item)
                    assert log.count("start") == 1, f"{item['id']} started {log.count('start')} times"
        for pod in pods:
            name = pod["metadata"]["name"]
            if name.startswith(("long", "short")):
                assert started[name] == 1, started
            ended = node.state(pod).get("terminated")
            if name.startswith("short"):
                assert ended["exitCode"] == int(name[-1])
    finally:
        node.close()


def test_deletion_goes_on_after_a_kill(state):
    pod = make_pod(container("trap '' TERM; echo up; while :; do sleep 0.05; done"))
    agent = Agent(state, [pod])
    try:
        eventually(lambda: any("up" in log_of(item) for item in records(state).values()))
    finally:
        agent.kill()
    doomed = {
        **pod,
        "metadata": {**pod["metadata"], "deletionTimestamp": "x", "deletionGracePeriodSeconds": 2},
    }
    agent = Agent(state, [doomed])
    agent.kill()
    node = Node(state)
    try:
        ended = node.wait_phase(pod, "Failed")["containerStatuses"][0]["state"]["terminated"]
        assert ended["exitCode"] == 137
    finally:
        node.close()


def test_a_killed_supervisor_is_replaced_and_containers_go_on(state):
    node = Node(state)
    go_on = state.parent / "go-on"
    # Killed between reading a line and writing it, a supervisor loses that one: here it has nothing in hand.
    pause = f"[ $i != 3 ] || until [ -e {go_on} ]; do sleep 0.02; done"
    script = f"i=0; while :; do i=$((i+1)); echo line $i; {pause}; sleep 0.02; done"
    try:
        pod = node.run(make_pod(container(script)))
        eventually(lambda: "line 3" in node.logs(pod) if node.state(pod).get("running") else False)
        pid = next(iter(records(state).values()))["pid"]
        old = supervisor_pid(state)
        os.kill(old, signal.SIGKILL)
        eventually(lambda: supervisor_pid(state) != old)
        go_on.touch()
        eventually(lambda: supervisor_pid(state) not in {0, old})
        count = node.logs(pod).count("\n")
        eventually(lambda: node.logs(pod).count("\n") > count + 3)
        numbers = [int(line.split()[1]) for line in node.logs(pod).splitlines()]
        assert numbers == list(range(1, len(numbers) + 1)), "no line is lost or repeated"
        assert node.phase(pod) == "Running"
        assert [item["pid"] for item in records(state).values()] == [pid]
        node.delete(pod, grace=1)
        ended = node.wait_phase(pod, "Failed")["containerStatuses"][0]["state"]["terminated"]
        assert (ended["exitCode"], ended["reason"]) == (137, "ContainerStatusUnknown")
    finally:
        node.close()


def test_what_ended_with_the_supervisor_is_reported_as_unknown(state):
    node = Node(state)
    try:
        pod = node.run(make_pod())
        node.wait_state(pod, "running")
        pid = next(iter(records(state).values()))["pid"]
        node.close()
        os.kill(supervisor_pid(state), signal.SIGKILL)
        eventually(lambda: supervisor_pid(state) == 0)
        os.kill(pid, signal.SIGKILL)
        node = Node(state)
        ended = node.wait_phase(pod, "Failed")["containerStatuses"][0]["state"]["terminated"]
        assert (ended["exitCode"], ended["reason"]) == (137, "ContainerStatusUnknown")
    finally:
        node.close()


def test_a_record_of_another_boot_is_not_taken_for_a_process(state):
    node = Node(state)
    pod = node.run(make_pod(container("exec sleep 1000"), restartPolicy="Always"))
    node.wait_state(pod, "running")
    pid = next(iter(records(state).values()))["pid"]
    node.close()
    os.kill(supervisor_pid(state), signal.SIGKILL)
    eventually(lambda: supervisor_pid(state) == 0)
    os.kill(pid, signal.SIGKILL)  # as a reboot does
    other = subprocess.Popen(["sleep", "1000"])
    path = next((state / "supervisor" / "containers").glob("*.json"))
    record = json.loads(path.read_text())
    record |= {"boot_id": "another boot", "pid": other.pid, "start_time": start_time(other.pid)}
    path.write_text(json.dumps(record))
    node = Node(state)
    try:
        eventually(lambda: node.containers(pod).get("c", {}).get("restartCount") == 1)
        assert other.poll() is None, "whoever has that pid now is not touched"
    finally:
        other.kill()
        other.wait()
        node.close()


def test_the_supervisor_ends_when_nobody_needs_it(state):
    node = Node(state)
    pod = node.run(make_pod(container("true")))
    node.wait_phase(pod, "Succeeded")
    assert supervisor_pid(state)
    node.close()
    eventually(lambda: supervisor_pid(state) == 0)
    node = Node(state)
    try:
        assert eventually(lambda: node.statuses)
        assert node.phase(pod) == "Succeeded"
    finally:
        node.close()


def test_a_restart_without_the_secrets_waits_for_the_api_server(state):
    item = container('echo "$SECRET_TOKEN"; read line; exit 1', stdin=True)
    item["env"] = [{"name": "SECRET_TOKEN", "value": "hunter2"}]
    pod = make_pod(item, restartPolicy="Always")
    node = Node(state)
    node.run(pod)
    node.wait_state(pod, "running")
    pid = next(iter(records(state).values()))["pid"]
    node.close()
    node = Node(state)
    try:
        eventually(lambda: node.status(pod))
        os.kill(pid, signal.SIGKILL)
        message = eventually(lambda: node.state(pod).get("waiting", {}).get("message"))
        assert "values from Secrets are not known" in message
        node.context.api_pods = [pod]
        node.context.change("default", "web")
        eventually(lambda: node.containers(pod)["c"]["restartCount"] == 1)
        eventually(lambda: node.logs(pod) == "hunter2\n")
    finally:
        node.close()


@pytest.mark.slow
def test_fifty_pods_under_agents_that_are_killed(state):
    """Pods start, crash, end and are deleted while one agent after the other is killed."""
    chance = random.Random(11)
    forever = [make_pod(container("echo start; exec sleep 1000"), name=f"long-{n}") for n in range(20)]
    ending = [make_pod(container(f"echo start; sleep 0.{n}; exit {n}"), name=f"short-{n}") for n in range(10)]
    crashing = [
        make_pod(container("echo start; exit 1"), name=f"crash-{n}", restartPolicy="Always")
        for n in range(10)
    ]
    doomed = [make_pod(container("echo start; exec sleep 1000"), name=f"doomed-{n}") for n in range(10)]
    pods = [*forever, *ending, *crashing, *doomed]
    chance.shuffle(pods)
    for count in range(8):
        marked = [
            {
                **pod,
                "metadata": {**pod["metadata"], "deletionTimestamp": "x", "deletionGracePeriodSeconds": 5},
            }
            if pod in doomed and count >= 5
            else pod
            for pod in pods[: 10 * (count + 1)]
        ]
        agent = Agent(state, marked, wait=count % 3 != 0)
        with contextlib.suppress(subprocess.TimeoutExpired):
            agent.process.wait(chance.uniform(0.2, 1.5))
        agent.kill()
    node = Node(state)
    node.context.api_pods = pods
    try:
        eventually(node.ready)
        for pod in pods:
            node.provider.create_pod(pod)
        for pod in doomed:
            with contextlib.suppress(NotFound):  # gone and forgotten
                node.delete(pod, grace=5)
        for pod in forever:
            node.wait_state(pod, "running", timeout=60)
        for pod in ending:
            eventually(lambda pod=pod: node.phase(pod) in {"Succeeded", "Failed"}, 60)
            assert node.state(pod)["terminated"]["exitCode"] == int(pod["metadata"]["name"][6:])
        for pod in crashing:
            eventually(lambda pod=pod: node.state(pod).get("waiting"), 60)
        for pod in doomed:
            eventually(lambda pod=pod: node.over(pod), 60)
        # A crashed one whose wait is over runs again, for a moment: what is leaked runs on.
        wanted = Counter(pod["metadata"]["name"] for pod in forever)
        eventually(lambda: running_pods(state) == wanted, 60, "none twice, none lost, none leaked")
        for item in records(state).values():
            assert log_of(item).count("start") <= 1, f"{item['id']} was started twice"
        for pod in crashing:
            eventually(lambda pod=pod: restarts(node, pod) == newest_attempt(state, pod), 60)
        mark = f"{(state / 'supervisor' / 'owner').read_text()}:".encode()
        eventually(lambda: len(marked_processes(mark)) == len(forever), 60)
    finally:
        node.close()


def running_pods(state):
    return Counter(item["labels"]["pod"] for item in records(state).values() if item["state"] == "running")


def newest_attempt(state, pod):
    uid = pod["metadata"]["uid"]
    return max(int(i["labels"]["attempt"]) for i in records(state).values() if i["labels"]["uid"] == uid)


def restarts(node, pod):
    return node.containers(pod)["c"]["restartCount"]


def marked_processes(mark):
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if b"VIRTUAL_KUBELET_CONTAINER=" + mark in (entry / "environ").read_bytes():
                found.append(entry.name)
    return found
