"""Rows for people."""

from __future__ import annotations

import pytest

from virtual_kubelet.devapi.tables.durations import age, human
from virtual_kubelet.devapi.tables.pods import PODS, pod_status
from virtual_kubelet.pure import times

NOW = 1_767_323_045.0


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "<invalid>"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (125, "2m5s"),
        (600, "10m"),
        (3 * 3600 - 1, "179m"),
        (3 * 3600, "3h"),
        (3 * 3600 + 60, "3h1m"),
        (8 * 3600, "8h"),
        (47 * 3600, "47h"),
        (49 * 3600, "2d1h"),
        (9 * 86400, "9d"),
        (3 * 365 * 86400 + 86400, "3y1d"),
        (9 * 365 * 86400, "9y"),
    ],
)
def test_durations(seconds, text):
    assert human(seconds) == text


def test_ages():
    assert age(times.rfc3339(NOW - 60), NOW) == "60s"
    assert age(None, NOW) == "<unknown>"
    assert age("yesterday", NOW) == "<unknown>"


def container(name="main", ready=False, restarts=0, last=None, **state):
    status = {"name": name, "ready": ready, "restartCount": restarts, "state": state}
    if last:
        status["lastState"] = {"terminated": last}
    return status


def pod(phase="Running", statuses=(), init=(), spec=None, conditions=(), **metadata):
    return {
        "metadata": {"name": "web", "creationTimestamp": times.rfc3339(NOW - 90), **metadata},
        "spec": {"containers": [{"name": "main"}], **(spec or {})},
        "status": {
            "phase": phase,
            "containerStatuses": list(statuses),
            "initContainerStatuses": list(init),
            "conditions": list(conditions),
        },
    }


RUNNING = container(ready=True, running={})
INIT = {"initContainers": [{"name": "a"}, {"name": "b"}]}


@pytest.mark.parametrize(
    ("shown", "status"),
    [
        (pod("Pending"), "Pending"),
        (pod(statuses=[RUNNING]), "Running"),
        (pod(statuses=[container(waiting={"reason": "CrashLoopBackOff"})]), "CrashLoopBackOff"),
        (pod("Failed", [container(terminated={"exitCode": 1, "reason": "Error"})]), "Error"),
        (pod("Succeeded", [container(terminated={"exitCode": 0, "reason": "Completed"})]), "Completed"),
        (pod("Failed", [container(terminated={"exitCode": 3})]), "ExitCode:3"),
        (pod("Failed", [container(terminated={"exitCode": 137, "signal": 9})]), "Signal:9"),
        (pod(statuses=[RUNNING], deletionTimestamp="x"), "Terminating"),
        (
            pod("Succeeded", [container(terminated={"reason": "Completed"})], deletionTimestamp="x"),
            "Completed",
        ),
        (pod("Pending", init=[container("a", running={})], spec=INIT), "Init:0/2"),
        (
            pod("Pending", init=[container("a", terminated={"exitCode": 0}), container("b")], spec=INIT),
            "Init:1/2",
        ),
        (
            pod("Pending", init=[container("a", terminated={"exitCode": 1, "reason": "Error"})], spec=INIT),
            "Init:Error",
        ),
        (
            pod("Pending", init=[container("a", waiting={"reason": "ErrImagePull"})], spec=INIT),
            "Init:ErrImagePull",
        ),
        (
            pod(
                "Pending",
                conditions=[{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}],
            ),
            "SchedulingGated",
        ),
        (
            pod(
                statuses=[
                    container(terminated={"exitCode": 0, "reason": "Completed"}),
                    container("b", True, running={}),
                ],
                conditions=[{"type": "Ready", "status": "True"}],
            ),
            "Running",
        ),
        (
            pod(
                statuses=[
                    container(terminated={"exitCode": 0, "reason": "Completed"}),
                    container("b", True, running={}),
                ]
            ),
            "NotReady",
        ),
    ],
)
def test_the_status_of_a_pod(shown, status):
    assert pod_status(shown) == status


def test_the_row_of_a_pod():
    last = {"finishedAt": times.rfc3339(NOW - 30)}
    shown = pod(statuses=[container(ready=True, restarts=3, last=last, running={})], spec={"nodeName": "n1"})
    shown["status"]["podIP"] = "10.0.0.1"
    assert list(PODS.cells(shown, NOW)) == [
        *("web", "1/1", "Running", "3 (30s ago)", "90s"),
        *("10.0.0.1", "n1", "<none>", "<none>"),
    ]


def test_sidecars_count_as_containers():
    spec = {"initContainers": [{"name": "side", "restartPolicy": "Always"}]}
    side = {**container("side", ready=True, restarts=2, running={}), "started": True}
    shown = pod(statuses=[RUNNING], init=[side], spec=spec)
    assert list(PODS.cells(shown, NOW))[1:4] == ["2/2", "Running", "2"]


def test_readiness_gates():
    spec = {"readinessGates": [{"conditionType": "a"}, {"conditionType": "b"}]}
    shown = pod(spec=spec, conditions=[{"type": "a", "status": "True"}])
    assert list(PODS.cells(shown, NOW))[-1] == "1/2"
