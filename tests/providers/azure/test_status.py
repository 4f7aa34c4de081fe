from __future__ import annotations

import pytest

from virtual_kubelet.providers.azure.status import is_final, pod_spec, pod_status

AT = "2026-01-02T03:04:05Z"
LATER = "2026-01-02T03:14:05Z"
RUNNING = {"state": "Running", "startTime": AT}
DONE = {
    "state": "Terminated",
    "exitCode": 0,
    "startTime": AT,
    "finishTime": LATER,
    "detailStatus": "Completed",
}
BROKEN = {**DONE, "exitCode": 3, "detailStatus": "Error"}


def make(provisioning="Succeeded", state=None, current=None, *, name="main", **more):
    view = {} if current is None else {"instanceView": {"restartCount": 0, "currentState": current}}
    properties = {"containers": [{"name": name, "properties": {"image": "i", **view}}], **more}
    if provisioning is not None:
        properties["provisioningState"] = provisioning
    if state is not None:
        properties["instanceView"] = {"state": state, "events": []}
    return {"id": "/g", "name": "g", "properties": properties}


@pytest.mark.parametrize(
    ("provisioning", "state", "current", "phase"),
    [
        ("Succeeded", "Running", RUNNING, "Running"),
        ("succeeded", "running", RUNNING, "Running"),
        ("Succeeded", "Succeeded", DONE, "Succeeded"),
        ("Succeeded", "Failed", BROKEN, "Failed"),
        ("Succeeded", "Canceled", BROKEN, "Failed"),
        ("Succeeded", "Pending", None, "Pending"),
        ("Succeeded", "Repairing", None, "Pending"),
        ("Creating", None, None, "Pending"),
        ("Pending", "Pending", {"state": "Waiting"}, "Pending"),
        ("Accepted", None, None, "Pending"),
        ("Failed", None, None, "Failed"),
        ("Canceled", None, None, "Failed"),
        ("Updating", "Running", RUNNING, "Running"),
        ("Deleting", "Running", RUNNING, "Running"),
        ("Sulking", None, None, "Unknown"),
        # Azure moves it to another machine by itself
        ("Unhealthy", None, None, "Unknown"),
        ("Unhealthy", "Running", RUNNING, "Running"),
        ("Repairing", "Running", {"state": "Waiting"}, "Pending"),
        # the last operation failed, and what was there goes on
        ("Failed", "Running", RUNNING, "Running"),
        ("Failed", "Stopped", None, "Failed"),
        # instanceView.state is missing: the containers tell
        ("Succeeded", None, RUNNING, "Running"),
        ("Succeeded", None, DONE, "Succeeded"),
        ("Succeeded", None, BROKEN, "Failed"),
        ("Succeeded", None, {"state": "Waiting"}, "Pending"),
        (None, None, RUNNING, "Running"),
        # somebody stopped it
        ("Succeeded", "Stopped", DONE, "Succeeded"),
        ("Succeeded", "Stopped", BROKEN, "Failed"),
        ("Succeeded", "Stopped", None, "Failed"),
    ],
)
def test_phases(provisioning, state, current, phase):
    assert pod_status(make(provisioning, state, current))["phase"] == phase


@pytest.mark.parametrize(
    ("current", "expected"),
    [
        (RUNNING, {"running": {"startedAt": AT}}),
        ({"state": "running"}, {"running": {}}),
        (
            DONE,
            {"terminated": {"exitCode": 0, "reason": "Completed", "startedAt": AT, "finishedAt": LATER}},
        ),
        (BROKEN, {"terminated": {"exitCode": 3, "reason": "Error", "startedAt": AT, "finishedAt": LATER}}),
        (
            {"state": "Terminated", "exitCode": 137, "detailStatus": "OOMKilled"},
            {"terminated": {"exitCode": 137, "reason": "OOMKilled"}},
        ),
        ({"state": "Succeeded"}, {"terminated": {"exitCode": 0, "reason": "Completed"}}),
        ({"state": "Terminated", "exitCode": 1}, {"terminated": {"exitCode": 1, "reason": "Error"}}),
        ({"state": "Failed"}, {"terminated": {"exitCode": 1, "reason": "Failed"}}),
        (
            {"state": "Failed", "exitCode": 5, "detailStatus": "it broke"},
            {"terminated": {"exitCode": 5, "reason": "Failed", "message": "it broke"}},
        ),
        ({"state": "Canceled", "exitCode": 0}, {"terminated": {"exitCode": 0, "reason": "Canceled"}}),
        (
            {"state": "Waiting", "detailStatus": "CrashLoopBackOff: Back-off 20s restarting failed"},
            {
                "waiting": {
                    "reason": "CrashLoopBackOff",
                    "message": "CrashLoopBackOff: Back-off 20s restarting failed",
                }
            },
        ),
        (
            {"state": "Waiting", "detailStatus": "still pulling"},
            {"waiting": {"reason": "ContainerCreating", "message": "still pulling"}},
        ),
        ({"state": "Waiting", "detailStatus": None}, {"waiting": {"reason": "ContainerCreating"}}),
        ({"state": "Preparing"}, {"waiting": {"reason": "Preparing"}}),
        ({}, {"waiting": {"reason": "ContainerCreating"}}),
    ],
)
def test_container_states(current, expected):
    assert pod_status(make("Succeeded", "Running", current))["containerStatuses"][0]["state"] == expected


def test_restarts():
    group = make("Succeeded", "Running", RUNNING)
    view = group["properties"]["containers"][0]["properties"]["instanceView"]
    view.update(restartCount=4, previousState=BROKEN)
    status = pod_status(group)["containerStatuses"][0]
    assert status["restartCount"] == 4
    assert status["lastState"]["terminated"]["exitCode"] == 3


def test_a_container_as_a_whole():
    status = pod_status(make("Succeeded", "Running", RUNNING))["containerStatuses"][0]
    assert status.pop("containerID").startswith("aci://")
    assert status == {
        "name": "main",
        "image": "i",
        "imageID": "",
        "ready": True,
        "started": True,
        "restartCount": 0,
        "state": {"running": {"startedAt": AT}},
    }


def test_init_containers():
    starter = {"name": "init", "properties": {"image": "i", "instanceView": {"currentState": DONE}}}
    status = pod_status(make("Succeeded", "Running", RUNNING, initContainers=[starter]))
    assert status["initContainerStatuses"][0]["state"]["terminated"]["exitCode"] == 0
    assert status["startTime"] == AT


def test_addresses():
    status = pod_status(make("Succeeded", "Running", RUNNING, ipAddress={"ip": "10.1.2.3"}))
    assert (status["podIP"], status["podIPs"]) == ("10.1.2.3", [{"ip": "10.1.2.3"}])
    assert "podIP" not in pod_status(make("Succeeded", "Running", RUNNING, ipAddress={"type": "Public"}))
    assert "podIP" not in pod_status(make("Succeeded", "Running", RUNNING, ipAddress=None))


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (AT, AT),
        ("2026-01-02T03:04:05.6789012Z", AT),
        ("2026-01-02T05:04:05+02:00", AT),
        ("2026-01-02T03:04:05", AT),
        ("2026-01-02 03:04:05 +0000 UTC", AT),
        ("2026-01-02 03:04:05.5 +0000 UTC m=+0.01", AT),
        ("0001-01-01T00:00:00Z", None),
        ("", None),
        (None, None),
        ("yesterday", None),
        (17, None),
    ],
)
def test_times_in_any_form(written, read):
    state = pod_status(make("Succeeded", "Running", {"state": "Running", "startTime": written}))
    assert state["containerStatuses"][0]["state"]["running"].get("startedAt") == read


def test_a_list_has_no_views_so_the_last_read_tells():
    detail = make("Succeeded", "Running", RUNNING, ipAddress={"ip": "10.1.2.3"})
    status = pod_status(make("Succeeded"), detail)
    assert (status["phase"], status["podIP"]) == ("Running", "10.1.2.3")
    assert pod_status(make("Failed"), detail)["phase"] == "Running"  # until it has been looked at
    assert pod_status(make("Failed"), make("Succeeded", "Pending"))["phase"] == "Failed"


def test_why_it_failed_in_azures_words():
    group = make("Failed", "Failed")
    group["properties"]["instanceView"]["events"] = [
        {"type": "Normal", "name": "Pulling", "message": "pulling"},
        {"type": "Warning", "name": "Failed", "message": "no such share"},
        "nonsense",
    ]
    status = pod_status(group)
    assert (status["reason"], status["message"]) == ("ProvisioningFailed", "no such share")
    status = pod_status(group, None, "QuotaReached: none left")
    assert status["message"] == "QuotaReached: none left"
    stopped = pod_status(make("Succeeded", "Stopped"))
    assert stopped["reason"] == "Stopped"


def test_what_never_began_does_not_seem_to_be_coming():
    (container,) = pod_status(make("Failed", None, {"state": "Waiting"}))["containerStatuses"]
    assert container["state"] == {"waiting": {"reason": "ProvisioningFailed"}}


@pytest.mark.parametrize(
    "group",
    [
        {},
        {"properties": None},
        {"properties": {"containers": None, "instanceView": None}},
        {"properties": {"containers": [None, {"name": None, "properties": None}], "ipAddress": None}},
        {
            "properties": {
                "containers": [{"name": "a", "properties": {"instanceView": {"currentState": "x"}}}]
            }
        },
        {
            "properties": {
                "containers": [{"name": "a", "properties": {"instanceView": {"restartCount": "x"}}}]
            }
        },
    ],
)
def test_every_field_may_be_missing(group):
    assert pod_status(group)["phase"] in {"Pending", "Unknown"}
    pod_spec(group)


def test_what_is_final():
    for provisioning, state, current, final in (
        ("Succeeded", "Succeeded", DONE, True),
        ("Succeeded", "Failed", BROKEN, True),
        ("Failed", None, None, True),
        ("Succeeded", "Running", RUNNING, False),
        ("Updating", "Succeeded", DONE, False),
    ):
        group = make(provisioning, state, current)
        assert is_final(group, pod_status(group)) is final


def test_what_a_group_tells_of_the_spec():
    group = make(restartPolicy="Never", initContainers=[{"name": "init", "properties": {"image": "j"}}])
    assert pod_spec(group) == {
        "containers": [{"name": "main", "image": "i"}],
        "initContainers": [{"name": "init", "image": "j"}],
        "restartPolicy": "Never",
    }
