"""Pods as real processes: started, ended, restarted, reported."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from support.files import named
from support.process_pods import container, make_pod, running_node
from support.processes import processes_of
from support.waiting import eventually

from virtual_kubelet.errors import InvalidInput, NotFound


@pytest.fixture(scope="module")
def state(tmp_path_factory):
    return tmp_path_factory.mktemp("state")


@pytest.fixture(scope="module")
def node(state):
    with running_node(state) as node:
        yield node


def test_a_pod_that_succeeds(node):
    pod = node.run(make_pod(container("echo hello; echo oops >&2")))
    status = node.wait_phase(pod, "Succeeded")
    ended = status["containerStatuses"][0]["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (0, "Completed")
    assert ended["startedAt"] <= ended["finishedAt"]
    assert ended["containerID"].startswith("process://")
    assert status["podIP"] == "127.0.0.1"
    assert status["startTime"]
    assert sorted(node.logs(pod).splitlines()) == ["hello", "oops"]


def test_a_pod_that_fails_says_how(node):
    pod = node.run(make_pod(container("exit 7")))
    ended = node.wait_phase(pod, "Failed")["containerStatuses"][0]["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (7, "Error")


def test_a_signal_is_told(node):
    pod = node.run(make_pod(container("kill -SEGV $$$$")))
    ended = node.wait_phase(pod, "Failed")["containerStatuses"][0]["state"]["terminated"]
    assert (ended["exitCode"], ended["signal"]) == (139, 11)


def test_events_of_a_start(node):
    pod = node.run(make_pod(name="eventful"))
    node.wait_state(pod, "running")
    eventually(lambda: node.context.reasons("eventful") == ["Created", "Started"])


def test_what_a_process_gets(node):
    script = 'echo "$A|$B|$POD_IP|$1"; pwd; echo "$HOSTNAME"; umask; env | grep -c ^KUBECONFIG'
    item = container(
        name="c",
        env=[
            {"name": "A", "value": "1"},
            {"name": "B", "value": "$(A)2"},
            {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        ],
        args=["sh", "$(A)$(B)"],
    )
    item["command"] = ["sh", "-c", script]
    pod = node.run(make_pod(item))
    node.wait_phase(pod, "Failed")  # grep -c counts 0 and fails
    lines = node.logs(pod).splitlines()
    assert lines[0] == "1|12|127.0.0.1|112"
    assert lines[1].endswith(f"/pods/{pod['metadata']['uid']}/containers/c")
    assert lines[2:] == ["web", "0022", "0"]


def test_working_directory(node, tmp_path):
    place = tmp_path / "work"
    place.mkdir()
    pod = node.run(make_pod(container("pwd", workingDir=str(place))))
    node.wait_phase(pod, "Succeeded")
    assert node.logs(pod).strip() == str(place)


def test_a_command_that_is_not_there(node):
    item = container()
    item["command"] = ["/no/such/program"]
    pod = node.run(make_pod(item))
    ended = node.wait_phase(pod, "Failed")["containerStatuses"][0]["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (127, "ContainerCannotRun")
    assert "/no/such/program" in ended["message"]
    assert "Failed" in node.context.reasons()


def test_a_working_directory_that_is_not_there(node):
    pod = node.run(make_pod(container("true", workingDir="/no/such/place")))
    ended = node.wait_phase(pod, "Failed")["containerStatuses"][0]["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (128, "ContainerCannotRun")
    assert "/no/such/place" in ended["message"]


def test_a_container_without_command_is_refused_with_the_remedy(node):
    pod = make_pod({"name": "c", "image": "nginx"})
    with pytest.raises(InvalidInput, match="has no command.*docker"):
        node.provider.create_pod(pod)
    assert node.status(pod) == {}


def test_a_pod_is_created_once(node):
    pod = node.run(make_pod(container("echo once; exec sleep 1000")))
    node.wait_state(pod, "running")
    node.provider.create_pod(pod)
    eventually(lambda: "once" in node.logs(pod))
    uids = [item["metadata"]["uid"] for item in node.provider.get_pods()]
    assert uids.count(pod["metadata"]["uid"]) == 1
    assert node.logs(pod) == "once\n"
    assert node.containers(pod)["c"]["restartCount"] == 0


def test_deletion_ends_within_the_grace_as_soon_as_the_process_has_gone(node):
    pod = node.run(make_pod(container("trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done")))
    eventually(lambda: "up" in node.logs(pod) if node.state(pod).get("running") else False)
    node.delete(pod, grace=1000)
    status = node.wait_phase(pod, "Succeeded")
    assert status["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 0
    assert node.logs(pod).endswith("bye\n")
    assert "Killing" in node.context.reasons()


def test_deletion_kills_when_the_grace_is_over(node):
    pod = node.run(make_pod(container("trap '' TERM; echo up; while :; do sleep 0.05; done")))
    eventually(lambda: "up" in node.logs(pod) if node.state(pod).get("running") else False)
    node.delete(pod, grace=1)
    ended = node.wait_phase(pod, "Failed")["containerStatuses"][0]["state"]["terminated"]
    assert (ended["exitCode"], ended["signal"]) == (137, 9)
    eventually(lambda: processes_of(pod["metadata"]["uid"]) == [])


def test_forced_deletion_does_not_wait(node):
    pod = node.run(make_pod(container("trap '' TERM; echo up; while :; do sleep 0.05; done")))
    eventually(lambda: "up" in node.logs(pod) if node.state(pod).get("running") else False)
    node.delete(pod, grace=600)
    node.delete(pod, grace=0)
    node.wait_phase(pod, "Failed", timeout=60)


def test_everything_that_a_container_left_behind_is_killed(node):
    script = "setsid sh -c 'sleep 1000 & sleep 1000' </dev/null >/dev/null 2>&1 & sleep 1000 & echo up; exec sleep 1000"
    pod = node.run(make_pod(container(script)))
    uid = pod["metadata"]["uid"]
    eventually(lambda: len(processes_of(uid)) >= 4)
    node.delete(pod, grace=30)
    node.wait_phase(pod, "Failed")
    eventually(lambda: processes_of(uid) == [])


def test_leftovers_go_when_the_first_process_ends(node):
    pod = node.run(make_pod(container("sleep 1000 & setsid sleep 1000 & exit 0")))
    node.wait_phase(pod, "Succeeded")
    eventually(lambda: processes_of(pod["metadata"]["uid"]) == [])


def test_a_deleted_pod_vanishes_when_it_is_deleted_again(node, state):
    pod = node.run(make_pod(container("echo x")))
    node.wait_phase(pod, "Succeeded")
    eventually(lambda: node.over(pod))
    node.delete(pod)
    assert node.status(pod) == {}
    with pytest.raises(NotFound):
        node.delete(pod)
    assert named(state, pod["metadata"]["uid"]) == []


def test_always_restarts_at_once_then_waits(node):
    pod = node.run(make_pod(container("echo run; exit 1"), restartPolicy="Always", name="crashes"))
    eventually(lambda: node.state(pod).get("waiting", {}).get("reason") == "CrashLoopBackOff")
    item = node.containers(pod)["c"]
    assert item["restartCount"] == 1
    assert item["lastState"]["terminated"]["exitCode"] == 1
    assert "back-off 10s restarting failed container=c" in item["state"]["waiting"]["message"]
    assert node.phase(pod) == "Running"
    assert node.logs(pod, previous=True) == "run\n"
    eventually(lambda: "BackOff" in node.context.reasons("crashes"))


def test_on_failure_does_not_restart_what_succeeded(node):
    pod = node.run(make_pod(container("exit 0"), restartPolicy="OnFailure"))
    node.wait_phase(pod, "Succeeded")
    assert node.containers(pod)["c"]["restartCount"] == 0


def test_init_containers_run_one_after_another(node, tmp_path):
    log, go_on = tmp_path / "order", tmp_path / "go-on"
    pod = node.run(
        make_pod(
            container(f"echo main >> {log}"),
            initContainers=[
                container(f"until [ -e {go_on} ]; do sleep 0.05; done; echo one >> {log}", name="one"),
                container(f"echo two >> {log}", name="two"),
            ],
        )
    )
    eventually(lambda: node.state(pod).get("waiting", {}).get("reason") == "PodInitializing")
    go_on.touch()
    node.wait_phase(pod, "Succeeded")
    assert log.read_text().split() == ["one", "two", "main"]
    states = node.containers(pod, "initContainerStatuses")
    assert all(states[name]["ready"] for name in ("one", "two"))


def test_a_failed_init_container_fails_the_pod(node):
    pod = node.run(make_pod(container("echo no"), initContainers=[container("exit 3", name="init")]))
    status = node.wait_phase(pod, "Failed")
    assert status["initContainerStatuses"][0]["state"]["terminated"]["exitCode"] == 3
    assert "waiting" in status["containerStatuses"][0]["state"]


def test_a_sidecar_starts_first_and_ends_last(node, tmp_path):
    log = tmp_path / "order"
    sidecar = container(
        f"trap 'echo end >> {log}; exit 0' TERM; echo sidecar >> {log}; while :; do sleep 0.05; done",
        name="sidecar",
        restartPolicy="Always",
    )
    # What is started first need not be the first to write.
    script = f"until [ -s {log} ]; do sleep 0.05; done; echo main >> {log}; sleep 0.2; echo done >> {log}"
    pod = node.run(make_pod(container(script), initContainers=[sidecar], name="accompanied"))
    node.wait_phase(pod, "Succeeded")
    assert log.read_text().split() == ["sidecar", "main", "done", "end"]
    started = [item[3] for item in node.context.events if (item[0], item[2]) == ("accompanied", "Started")]
    assert started == ["Started container sidecar", "Started container c"]


def test_active_deadline(node):
    pod = node.run(make_pod(container(), activeDeadlineSeconds=1, terminationGracePeriodSeconds=1))
    status = node.wait_phase(pod, "Failed")
    assert status["reason"] == "DeadlineExceeded"
    eventually(lambda: processes_of(pod["metadata"]["uid"]) == [])


def test_two_pods_of_one_name_are_two_pods(node):
    old = node.run(make_pod(container("echo old"), uid="old"))
    node.wait_phase(old, "Succeeded")
    new = node.run(make_pod(container("echo new"), uid="new"))
    node.wait_phase(new, "Succeeded")
    assert (node.logs(old), node.logs(new)) == ("old\n", "new\n")
    assert node.provider.get_pod("default", "web")["metadata"]["uid"] == "new"


def test_a_pod_that_does_not_fit_fails_as_the_kubelet_says(tmp_path):
    config = tmp_path / "config.toml"
    config.write_text('cpu = "1"\n')
    with running_node(tmp_path / "state", config_path=str(config)) as node:
        first = node.run(make_pod(container(resources={"requests": {"cpu": "700m"}}), name="first"))
        node.wait_state(first, "running")
        second = node.run(make_pod(container(resources={"requests": {"cpu": "400m"}}), name="second"))
        status = node.wait_phase(second, "Failed")
    assert status["reason"] == "OutOfcpu"
    assert "requested: 400, used: 700, capacity: 1000" in status["message"]


def test_a_purge_takes_logs_along(tmp_path):
    with running_node(tmp_path) as node:
        pod = node.run(make_pod(container("echo up; exec sleep 1000")))
        eventually(lambda: "up" in node.logs(pod) if node.state(pod).get("running") else False)
        node.purge()
        assert named(tmp_path, pod["metadata"]["uid"]) == []


def test_termination_message(node):
    script = 'echo "the end" > "$VIRTUAL_KUBELET_TERMINATION_LOG"; exit 1'
    pod = node.run(make_pod(container(script)))
    ended = node.wait_phase(pod, "Failed")["containerStatuses"][0]["state"]["terminated"]
    assert ended["message"] == "the end\n"


def test_termination_message_from_the_log(node):
    item = container("echo last words; exit 1", terminationMessagePolicy="FallbackToLogsOnError")
    pod = node.run(make_pod(item))
    ended = node.wait_phase(pod, "Failed")["containerStatuses"][0]["state"]["terminated"]
    assert ended["message"] == "last words\n"


def test_no_supervisor_without_pods(tmp_path):
    with running_node(tmp_path) as node:
        eventually(lambda: node.provider.get_pods() == [] if node.ready() else False)
        node.provider.ping()
        assert not (tmp_path / "supervisor" / "supervisor.sock").exists()


def test_the_state_directory_is_ours_alone(node, state):
    pod = node.run(make_pod())
    node.wait_state(pod, "running")
    for name in ("pods", "supervisor"):
        assert (state / name).stat().st_mode & 0o077 == 0


def test_a_container_added_for_debugging(node):
    pod = node.run(make_pod(name="debugged"))
    node.wait_state(pod, "running")
    debug = container("echo looking; exit 3", name="debugger", targetContainerName="c")
    more = {**pod, "spec": {**pod["spec"], "ephemeralContainers": [debug]}}
    node.context.api_pods = [more]
    node.provider.update_pod(more)
    ended = node.wait_state(pod, "terminated", "debugger", "ephemeralContainerStatuses")
    assert ended["exitCode"] == 3
    assert node.logs(pod, "debugger") == "looking\n"
    assert node.phase(pod) == "Running"
    assert node.containers(pod)["c"]["restartCount"] == 0


def test_a_debugging_container_without_command_does_not_harm_the_pod(node):
    pod = node.run(make_pod(name="spared"))
    node.wait_state(pod, "running")
    debug = {"name": "debugger", "image": "busybox"}
    more = {**pod, "spec": {**pod["spec"], "ephemeralContainers": [debug]}}
    node.context.api_pods = [more]
    node.provider.update_pod(more)
    node.wait_state(pod, "waiting", "debugger", "ephemeralContainerStatuses")
    eventually(
        lambda: (
            node.state(pod, "debugger", "ephemeralContainerStatuses")["waiting"]["reason"]
            == "CreateContainerConfigError"
        )
    )
    assert node.state(pod).get("running")


def test_a_changed_image_restarts_the_container(node):
    pod = node.run(make_pod(name="updated"))
    node.wait_state(pod, "running")
    changed = make_pod(
        {**pod["spec"]["containers"][0], "image": "other"}, name="updated", uid=pod["metadata"]["uid"]
    )
    node.context.api_pods = [changed]
    node.provider.update_pod(changed)
    eventually(lambda: node.containers(pod)["c"]["restartCount"] == 1)
    assert node.containers(pod)["c"]["image"] == "other"


def test_another_user():
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    script = "id -u; id -g; id -G; echo mine > file && cat file; echo loud > /dev/stdout; ls / >/dev/null && echo sees"
    item = container(script, securityContext={"runAsUser": 65534, "runAsGroup": 65534})
    # Not below pytest's own directory, which nobody else may enter.
    with tempfile.TemporaryDirectory() as state, running_node(state) as node:
        pod = node.run(make_pod(item, securityContext={"supplementalGroups": [1234]}))
        node.wait_phase(pod, "Succeeded")
        assert node.logs(pod).split("\n") == ["65534", "65534", "65534 1234", "mine", "loud", "sees", ""]
        assert (Path(state) / "pods").stat().st_mode & 0o777 == 0o711
