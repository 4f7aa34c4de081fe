from __future__ import annotations

import pytest
from support.pods import make_pod

from virtual_kubelet import codec
from virtual_kubelet.pure import pod_status
from virtual_kubelet.pure.status_patch import status_patch

NOW = "2026-02-03T04:05:06Z"
LATER = "2026-02-03T04:06:00Z"


def complete(pod, reported, now=NOW):
    before = codec.copy([pod, reported])
    wanted = pod_status.complete(pod, reported, host_ips=["10.0.0.1"], now=now)
    assert [pod, reported] == before, "arguments are read-only"
    return wanted


def condition(status, kind):
    return next((item for item in status["conditions"] if item["type"] == kind), None)


def brief(status):
    return {item["type"]: (item["status"], item.get("reason")) for item in status["conditions"]}


def hold(pod, status):
    """Return the pod after the API server took the status."""
    return {**pod, "status": codec.copy(status)}


def test_one_word_is_enough():
    status = complete(make_pod(), {"phase": "Running"})
    assert status["containerStatuses"] == [
        {
            "name": "main",
            "image": "busybox:1",
            "imageID": "",
            "ready": True,
            "started": True,
            "restartCount": 0,
            "lastState": {},
            "state": {"running": {"startedAt": NOW}},
        }
    ]
    assert brief(status) == {
        "PodReadyToStartContainers": ("True", None),
        "Initialized": ("True", None),
        "ContainersReady": ("True", None),
        "Ready": ("True", None),
        "PodScheduled": ("True", None),
    }
    assert {item["lastTransitionTime"] for item in status["conditions"]} == {NOW}
    assert {item["observedGeneration"] for item in status["conditions"]} == {1}
    del status["containerStatuses"], status["conditions"]
    assert status == {
        "phase": "Running",
        "hostIP": "10.0.0.1",
        "hostIPs": [{"ip": "10.0.0.1"}],
        "startTime": NOW,
        "qosClass": "BestEffort",
        "observedGeneration": 1,
    }


@pytest.mark.parametrize(
    "reported",
    [
        {"phase": "Pending"},
        {"phase": "Running", "podIP": "10.1.0.1"},
        {"phase": "Running", "containerStatuses": [{"name": "main", "state": {"running": {}}}]},
        {"phase": "Failed", "containerStatuses": [{"name": "main", "state": {"terminated": {"exitCode": 1}}}]},
        {"phase": "Succeeded"},
        {"phase": "Running", "conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": LATER}]},
    ],
)  # fmt: skip
def test_the_same_word_later_changes_nothing(reported):
    pod = make_pod()
    pod = hold(pod, complete(pod, reported))
    again = complete(pod, reported, now=LATER)
    assert status_patch(pod, again) is None
    again["conditions"].append(condition(pod["status"], "PodScheduled"))  # by then it is the server's
    assert again == pod["status"]


def test_transition_times_move_only_with_the_status():
    pod = make_pod()
    pod = hold(pod, complete(pod, {"phase": "Pending"}))
    status = complete(pod, {"phase": "Running"}, now=LATER)
    assert condition(status, "Ready")["lastTransitionTime"] == LATER
    assert condition(status, "Initialized")["lastTransitionTime"] == NOW
    assert status["startTime"] == NOW


def test_a_pending_pod_waits():
    status = complete(make_pod(), {"phase": "Pending"})
    assert status["containerStatuses"][0]["state"] == {"waiting": {"reason": "ContainerCreating"}}
    assert brief(status)["Ready"] == ("False", "ContainersNotReady")
    assert condition(status, "Ready")["message"] == "containers with unready status: [main]"


@pytest.mark.parametrize(
    ("phase", "exit_code", "reason", "condition_reason"),
    [("Succeeded", 0, "Completed", "PodCompleted"), ("Failed", 1, "Error", "PodFailed")],
)
def test_a_running_container_ends_with_the_phase(phase, exit_code, reason, condition_reason):
    pod = make_pod()
    running = {"phase": "Running", "containerStatuses": [{"name": "main", "containerID": "x://1", "state": {"running": {}}}]}  # fmt: skip
    pod = hold(pod, complete(pod, running))
    status = complete(pod, {"phase": phase}, now=LATER)
    (main,) = status["containerStatuses"]
    assert main["state"] == {
        "terminated": {
            "exitCode": exit_code,
            "reason": reason,
            "startedAt": NOW,
            "finishedAt": LATER,
            "containerID": "x://1",
        }
    }
    assert (main["ready"], main["started"]) == (False, False)
    assert brief(status)["Ready"] == ("False", condition_reason)
    assert brief(status)["ContainersReady"] == ("False", condition_reason)


def test_a_pod_that_failed_before_it_began_invents_no_containers():
    assert complete(make_pod(), {"phase": "Failed"})["containerStatuses"] == []
    waiting = hold(make_pod(), complete(make_pod(), {"phase": "Pending"}))
    assert complete(waiting, {"phase": "Failed"})["containerStatuses"] == []
    assert complete(make_pod(), {"phase": "Succeeded"})["containerStatuses"][0]["state"] == {
        "terminated": {"exitCode": 0, "reason": "Completed", "startedAt": NOW, "finishedAt": NOW}
    }


def test_the_phase_follows_from_containers():
    state = {"terminated": {"exitCode": 3}}
    pod = make_pod(restartPolicy="Never")
    status = complete(pod, {"containerStatuses": [{"name": "main", "state": state}]})
    assert status["phase"] == "Failed"
    assert status["containerStatuses"][0]["state"]["terminated"] == {
        "exitCode": 3,
        "startedAt": NOW,
        "finishedAt": NOW,
    }


def test_containers_come_in_the_order_of_the_spec_and_strangers_are_left_out():
    pod = make_pod(containers=[{"name": "a", "image": "x"}, {"name": "b", "image": "y"}])
    reported = {
        "phase": "Running",
        "containerStatuses": [
            {"name": "pause", "state": {"running": {"startedAt": NOW}}},
            {"name": "b", "image": "y@sha256:1", "ready": False, "state": {"running": {"startedAt": NOW}}},
        ],
    }
    status = complete(pod, reported)
    assert [item["name"] for item in status["containerStatuses"]] == ["a", "b"]
    assert status["containerStatuses"][1]["image"] == "y@sha256:1"
    assert condition(status, "ContainersReady")["message"] == "containers with unready status: [b]"


def test_init_containers_are_over_when_the_pod_runs():
    pod = make_pod(
        initContainers=[{"name": "first", "image": "i"}, {"name": "side", "restartPolicy": "Always"}]
    )
    first, side = complete(pod, {"phase": "Running"})["initContainerStatuses"]
    assert first["state"]["terminated"]["reason"] == "Completed"
    assert (first["ready"], first["started"]) == (True, False)
    assert side["state"] == {"running": {"startedAt": NOW}}
    assert (side["ready"], side["started"]) == (True, True)


def test_waiting_init_containers_are_named():
    pod = make_pod(initContainers=[{"name": "first"}])
    status = complete(pod, {"phase": "Pending"})
    assert condition(status, "Initialized")["reason"] == "ContainersNotInitialized"
    assert condition(status, "Initialized")["message"] == "containers with incomplete status: [first]"


def test_a_pod_is_initialized_once_a_container_ran():
    pod = make_pod(initContainers=[{"name": "first"}])
    reported = {
        "containerStatuses": [{"name": "main", "state": {"running": {}}}],
        "initContainerStatuses": [{"name": "first", "state": {"running": {}}}],
    }
    assert brief(complete(pod, reported))["Initialized"] == ("True", None)


def test_an_unready_sidecar_makes_the_pod_unready():
    pod = make_pod(initContainers=[{"name": "side", "restartPolicy": "Always"}])
    reported = {
        "phase": "Running",
        "initContainerStatuses": [{"name": "side", "ready": False, "state": {"running": {}}}],
    }
    assert condition(complete(pod, reported), "Ready")["message"] == "containers with unready status: [side]"


@pytest.mark.parametrize(
    ("held", "said", "expected", "message"),
    [
        (None, None, "False", 'corresponding condition of pod readiness gate "x/y" does not exist.'),
        ("False", None, "False", 'the status of pod readiness gate "x/y" is not "True", but False'),
        ("True", None, "True", None),
        (None, "True", "True", None),
        ("True", "False", "False", 'the status of pod readiness gate "x/y" is not "True", but False'),
    ],
)
def test_readiness_gates(held, said, expected, message):
    conditions = [{"type": "x/y", "status": held}] if held else []
    pod = make_pod(readinessGates=[{"conditionType": "x/y"}], status={"conditions": conditions})
    reported = {"phase": "Running"}
    if said:
        reported["conditions"] = [{"type": "x/y", "status": said}]
    status = complete(pod, reported)
    ready = condition(status, "Ready")
    assert (ready["status"], ready.get("message")) == (expected, message)
    assert brief(status)["ContainersReady"] == ("True", None)
    assert (condition(status, "x/y") is None) == (said is None), "another's condition is not ours to repeat"


def test_the_providers_own_conditions_win():
    reported = {
        "phase": "Running",
        "conditions": [
            {"type": "Ready", "status": "False", "reason": "Draining", "lastTransitionTime": LATER},
            {"type": "example.com/Warm", "status": "True"},
        ],
    }
    status = complete(make_pod(), reported)
    assert condition(status, "Ready") == {
        "type": "Ready",
        "status": "False",
        "reason": "Draining",
        "lastTransitionTime": LATER,
        "observedGeneration": 1,
    }
    assert brief(status)["example.com/Warm"] == ("True", None)


def test_a_pod_that_is_over_is_not_ready_whatever_the_provider_says():
    status = complete(make_pod(), {"phase": "Succeeded", "conditions": [{"type": "Ready", "status": "True"}]})
    assert brief(status)["Ready"] == ("False", "PodCompleted")
    assert brief(status)["Initialized"] == ("True", "PodCompleted")


def test_a_scheduler_keeps_its_condition():
    pod = make_pod(status={"conditions": [{"type": "PodScheduled", "status": "True"}]})
    assert condition(complete(pod, {"phase": "Running"}), "PodScheduled") is None


@pytest.mark.parametrize(
    ("reported", "expected"),
    [
        ({"podIP": "10.1.0.1"}, ("10.1.0.1", [{"ip": "10.1.0.1"}])),
        ({"podIPs": [{"ip": "10.1.0.2"}, {"ip": "fd00::2"}]}, ("10.1.0.2", [{"ip": "10.1.0.2"}, {"ip": "fd00::2"}])),
        ({"podIP": "10.1.0.1", "podIPs": [{"ip": "10.1.0.9"}]}, ("10.1.0.1", [{"ip": "10.1.0.1"}])),
        ({}, (None, None)),
    ],
)  # fmt: skip
def test_pod_addresses_agree(reported, expected):
    status = complete(make_pod(), {"phase": "Running", **reported})
    assert (status.get("podIP"), status.get("podIPs")) == expected


def test_a_pod_on_the_hosts_network_has_the_hosts_address():
    status = complete(make_pod(hostNetwork=True), {"phase": "Running", "hostIP": "10.0.0.7"})
    assert (status["hostIPs"], status["podIPs"]) == ([{"ip": "10.0.0.7"}], [{"ip": "10.0.0.7"}])


def test_a_server_without_generations_gets_none():
    pod = make_pod()
    del pod["metadata"]["generation"]
    status = complete(pod, {"phase": "Running"})
    assert "observedGeneration" not in status
    assert not any("observedGeneration" in item for item in status["conditions"])


def test_a_lost_pod():
    pod = make_pod(containers=[{"name": "a"}, {"name": "b"}])
    reported = {
        "phase": "Running",
        "podIP": "10.1.0.1",
        "containerStatuses": [
            {"name": "a", "containerID": "x://a", "state": {"running": {"startedAt": NOW}}},
            {"name": "b", "state": {"waiting": {"reason": "CrashLoopBackOff"}}},
        ],
    }
    pod = hold(pod, complete(pod, reported))
    status = complete(pod, pod_status.lost(pod, LATER), now=LATER)
    assert (status["phase"], status["reason"], status["podIP"]) == ("Failed", "NotFound", "10.1.0.1")
    assert status["message"] == "The pod status was not found and may have been deleted from the provider"
    assert [item["state"] for item in status["containerStatuses"]] == [
        {
            "terminated": {
                "exitCode": -137,
                "reason": "NotFound",
                "message": "Container was not found and was likely deleted",
                "startedAt": NOW,
                "finishedAt": LATER,
                "containerID": "x://a",
            }
        },
        {"waiting": {"reason": "CrashLoopBackOff"}},
    ]
    assert brief(status)["Ready"] == ("False", "PodFailed")


def test_a_pod_that_vanished_on_our_word_ended_in_a_way_that_nobody_saw():
    pod = make_pod()
    pod = hold(pod, complete(pod, {"phase": "Running"}))
    status = complete(pod, pod_status.ended(pod, None, LATER), now=LATER)
    terminated = status["containerStatuses"][0]["state"]["terminated"]
    assert (status["phase"], terminated["exitCode"], terminated["reason"]) == (
        "Failed",
        137,
        "ContainerStatusUnknown",
    )
    assert (terminated["startedAt"], terminated["finishedAt"]) == (NOW, LATER)


def test_exit_codes_decide_how_a_deleted_pod_ended():
    pod = make_pod(restartPolicy="Always")
    pod = hold(pod, complete(pod, {"phase": "Running"}))
    for code, phase in ((0, "Succeeded"), (143, "Failed")):
        state = {"terminated": {"exitCode": code, "startedAt": NOW, "finishedAt": LATER}}
        reported = {"phase": "Running", "containerStatuses": [{"name": "main", "state": state}]}
        assert complete(pod, pod_status.ended(pod, reported, LATER))["phase"] == phase


def test_a_container_between_two_runs_ends_as_it_last_did():
    pod = make_pod()
    last = {"terminated": {"exitCode": 0, "finishedAt": NOW}}
    reported = {
        "phase": "Running",
        "containerStatuses": [{"name": "main", "state": {"waiting": {}}, "lastState": last}],
    }
    status = pod_status.ended(pod, reported, LATER)
    assert (status["phase"], status["containerStatuses"][0]["state"]) == ("Succeeded", last)


def test_a_deleted_pod_that_never_began_has_failed():
    status = complete(make_pod(), pod_status.ended(make_pod(), None, NOW))
    assert (status["phase"], status["containerStatuses"]) == ("Failed", [])


def test_waiting_says_which_container_and_why():
    pod = make_pod(containers=[{"name": "a"}, {"name": "b"}], initContainers=[{"name": "i"}])
    status = complete(pod, pod_status.waiting(pod, "CreateContainerConfigError", "no x", container="b"))
    a, b = status["containerStatuses"]
    assert b["state"] == {"waiting": {"reason": "CreateContainerConfigError", "message": "no x"}}
    assert a["state"] == status["initContainerStatuses"][0]["state"]
    assert a["state"] == {"waiting": {"reason": "ContainerCreating"}}
    assert (status["phase"], "reason" in status) == ("Pending", False)


def test_waiting_may_blame_the_provider():
    pod = make_pod()
    status = complete(
        pod, pod_status.waiting(pod, "CreateContainerError", "full", status_reason="ProviderFailed")
    )
    assert (status["reason"], status["message"]) == ("ProviderFailed", "full")
    assert status["containerStatuses"][0]["state"]["waiting"]["message"] == "full"


def test_refused_for_good():
    status = complete(make_pod(), pod_status.failed("ProviderFailed", "no such size"))
    assert (status["phase"], status["reason"]) == ("Failed", "ProviderFailed")


def test_conditions_of_a_pod_with_containers_that_nobody_reported():
    pod = make_pod(initContainers=[{"name": "first"}, {"name": "side", "restartPolicy": "Always"}])
    reported = {
        "phase": "Unknown",
        "initContainerStatuses": [
            {"name": "first", "state": {"terminated": {"exitCode": 0, "finishedAt": NOW}}},
            {"name": "side", "started": False, "state": {"waiting": {}}},
        ],
    }
    status = complete(pod, reported)
    assert condition(status, "Initialized")["message"] == "containers with incomplete status: [side]"
    assert (
        condition(status, "ContainersReady")["message"]
        == "containers with unknown status: [main], containers with unready status: [side]"
    )
    reported["initContainerStatuses"][1]["started"] = True
    assert brief(complete(pod, reported))["Initialized"] == ("True", None)


def test_a_pod_without_any_address_has_none():
    status = pod_status.complete(make_pod(), {"phase": "Pending"}, now=NOW)
    assert not {"hostIP", "hostIPs", "podIP", "podIPs"} & status.keys()


def test_a_container_that_was_never_seen_to_start_ends_without_a_start():
    pod = make_pod(
        status={"containerStatuses": [{"name": "main", "state": {"running": {}}, "containerID": "x://1"}]}
    )
    state = pod_status.lost(pod, NOW)["containerStatuses"][0]["state"]
    assert "startedAt" not in state["terminated"]
