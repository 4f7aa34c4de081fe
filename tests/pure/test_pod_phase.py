from __future__ import annotations

import pytest

from virtual_kubelet.pure.pod_phase import all_terminated, ended_phase, has_started, phase_of

RUNS = {"running": {}}
WELL = {"terminated": {"exitCode": 0}}
BADLY = {"terminated": {"exitCode": 7}}
AT_SEVEN = [{"action": "Restart", "exitCodes": {"operator": "In", "values": [7]}}]
WAITS = {"waiting": {"reason": "ContainerCreating"}}


def spec(policy="Always", containers=1, init=(), **container):
    return {
        "restartPolicy": policy,
        "containers": [{"name": f"c{i}", **container} for i in range(containers)],
        "initContainers": list(init),
    }


def statuses(*states, last=None):
    return [
        {"name": f"c{i}", "state": state, **({"lastState": last} if last else {})}
        for i, state in enumerate(states)
    ]


@pytest.mark.parametrize(
    ("policy", "states", "last", "phase"),
    [
        ("Always", [], None, "Pending"),
        ("Always", [WAITS], None, "Pending"),
        ("Always", [{}], None, "Pending"),
        ("Always", [RUNS], None, "Running"),
        ("Always", [RUNS, WAITS], None, "Pending"),
        ("Always", [WELL], None, "Running"),
        ("Always", [BADLY], None, "Running"),
        ("Always", [WAITS], BADLY, "Running"),
        ("OnFailure", [WELL], None, "Succeeded"),
        ("OnFailure", [BADLY], None, "Running"),
        ("OnFailure", [WELL, RUNS], None, "Running"),
        ("Never", [WELL, WELL], None, "Succeeded"),
        ("Never", [WELL, BADLY], None, "Failed"),
        ("Never", [RUNS, BADLY], None, "Running"),
        ("Never", [WAITS], BADLY, "Failed"),
    ],
)
def test_phase_follows_containers(policy, states, last, phase):
    status = {"containerStatuses": statuses(*states, last=last)}
    assert phase_of(spec(policy, max(1, len(states))), status) == phase


def test_one_missing_container_keeps_the_pod_pending():
    assert phase_of(spec(containers=2), {"containerStatuses": statuses(RUNS)}) == "Pending"


def test_a_containers_own_restart_policy_counts():
    status = {"containerStatuses": statuses(BADLY)}
    assert phase_of(spec("Never", restartPolicy="Always"), status) == "Running"
    assert phase_of(spec("Always", restartPolicy="Never"), status) == "Failed"
    assert phase_of(spec("Never", restartPolicyRules=AT_SEVEN), status) == "Running"


@pytest.mark.parametrize(
    ("policy", "init", "state", "started", "phase"),
    [
        ("Always", {}, WAITS, False, "Pending"),
        ("Always", {}, RUNS, False, "Pending"),
        ("Always", {}, WELL, False, "Running"),
        ("Always", {}, BADLY, False, "Pending"),
        ("Never", {}, BADLY, False, "Failed"),
        ("Always", {"restartPolicy": "Never"}, BADLY, False, "Failed"),
        ("Never", {"restartPolicy": "OnFailure"}, BADLY, False, "Pending"),
        ("Never", {"restartPolicyRules": AT_SEVEN}, BADLY, False, "Pending"),
        ("Always", {"restartPolicy": "Always"}, WAITS, False, "Pending"),
        ("Always", {"restartPolicy": "Always"}, RUNS, True, "Running"),
    ],
)
def test_init_containers_hold_the_pod_back(policy, init, state, started, phase):
    status = {
        "initContainerStatuses": [{"name": "init", "state": state, "started": started}],
        "containerStatuses": statuses(RUNS if phase == "Running" else WAITS),
    }
    assert phase_of(spec(policy, init=[{"name": "init", **init}]), status) == phase


def test_a_restarted_init_container_does_not_make_a_running_pod_pending():
    status = {
        "initContainerStatuses": [{"name": "init", "state": RUNS}],
        "containerStatuses": statuses(RUNS),
    }
    assert phase_of(spec(init=[{"name": "init"}]), status) == "Running"


def test_an_init_container_that_failed_between_runs_fails_a_pod_that_never_restarts():
    status = {"initContainerStatuses": [{"name": "init", "state": WAITS, "lastState": BADLY}]}
    assert phase_of(spec("Never", init=[{"name": "init"}]), status) == "Failed"
    assert phase_of(spec("Always", init=[{"name": "init"}]), status) == "Pending"


@pytest.mark.parametrize(
    ("status", "gone"),
    [
        ({}, False),
        ({"phase": "Running"}, False),
        ({"phase": "Pending"}, False),
        ({"phase": "Succeeded"}, True),
        ({"phase": "Failed", "containerStatuses": statuses(WAITS)}, True),
        ({"phase": "Failed", "containerStatuses": statuses(RUNS)}, False),
        ({"phase": "Running", "containerStatuses": statuses(WELL, BADLY)}, True),
        ({"phase": "Running", "containerStatuses": statuses(WELL, WAITS)}, False),
        ({"phase": "Failed", "initContainerStatuses": statuses(RUNS)}, False),
        ({"phase": "Running", "containerStatuses": statuses(WELL), "ephemeralContainerStatuses": statuses(RUNS)}, False),
    ],
)  # fmt: skip
def test_gone_means_that_nothing_runs(status, gone):
    assert all_terminated(status) is gone


@pytest.mark.parametrize(
    ("status", "started"),
    [
        ({}, False),
        ({"phase": "Pending", "containerStatuses": statuses(WAITS)}, False),
        ({"phase": "Pending", "containerStatuses": statuses(WAITS, last=BADLY)}, True),
        ({"phase": "Pending", "initContainerStatuses": statuses(RUNS)}, True),
        ({"phase": "Running"}, True),
        ({"phase": "Failed"}, True),
    ],
)
def test_started_means_that_a_container_has_run(status, started):
    assert has_started(status) is started


@pytest.mark.parametrize(
    ("status", "phase"),
    [
        ({"phase": "Succeeded", "containerStatuses": statuses(BADLY)}, "Succeeded"),
        ({"phase": "Running", "containerStatuses": statuses(WELL)}, "Succeeded"),
        ({"phase": "Running", "containerStatuses": statuses(WELL, BADLY)}, "Failed"),
        ({"phase": "Pending", "containerStatuses": statuses(WAITS)}, "Failed"),
        ({"phase": "Pending"}, "Failed"),
    ],
)
def test_a_pod_told_to_end_has_a_final_phase(status, phase):
    assert ended_phase(status) == phase
