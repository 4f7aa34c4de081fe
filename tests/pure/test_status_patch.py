from __future__ import annotations

import pytest
from support.pods import make_pod

from virtual_kubelet.pure import pod_status
from virtual_kubelet.pure.status_patch import equivalent, status_patch

NOW = "2026-02-03T04:05:06Z"


def patched(current, wanted):
    pod = make_pod(uid="u-1")
    pod["status"] = current
    patch = status_patch(pod, wanted)
    if patch is None:
        return None
    assert patch["metadata"] == {"uid": "u-1"}
    return patch["status"]


@pytest.mark.parametrize(
    ("current", "wanted", "expected"),
    [
        ({}, {}, None),
        ({"phase": "Pending"}, {"phase": "Running"}, {"phase": "Running"}),
        ({"phase": "Running", "reason": "x"}, {"phase": "Running"}, {"reason": None}),
        ({"phase": "Running", "nominatedNodeName": "n"}, {"phase": "Running"}, None),
        ({"phase": "Running"}, {"phase": "Running", "resize": "Proposed"}, {"resize": "Proposed"}),
        ({"phase": "Running", "message": ""}, {"phase": "Running"}, None),
        (
            {},
            {"podIP": "1.1.1.1", "podIPs": [{"ip": "1.1.1.1"}]},
            {"podIP": "1.1.1.1", "podIPs": [{"ip": "1.1.1.1"}]},
        ),
        (
            {"podIP": "1.1.1.1", "podIPs": [{"ip": "1.1.1.1"}]},
            {"podIP": "2.2.2.2", "podIPs": [{"ip": "2.2.2.2"}]},
            {"podIP": "2.2.2.2", "podIPs": [{"$patch": "replace"}, {"ip": "2.2.2.2"}]},
        ),
        (
            {"podIP": "1.1.1.1", "podIPs": [{"ip": "1.1.1.1"}]},
            {"podIP": "1.1.1.1", "podIPs": [{"ip": "1.1.1.1"}, {"ip": "fd00::1"}]},
            {"podIP": "1.1.1.1", "podIPs": [{"$patch": "replace"}, {"ip": "1.1.1.1"}, {"ip": "fd00::1"}]},
        ),
        (
            {"podIP": "1.1.1.1", "podIPs": [{"ip": "1.1.1.1"}]},
            {},
            {"podIP": None, "podIPs": [{"$patch": "replace"}]},
        ),
        (
            {"hostIP": "1.1.1.1"},
            {"hostIP": "1.1.1.1", "hostIPs": [{"ip": "1.1.1.1"}]},
            {"hostIP": "1.1.1.1", "hostIPs": [{"ip": "1.1.1.1"}]},
        ),
        (
            {"containerStatuses": [{"name": "a", "state": {"running": {"startedAt": None}}, "lastState": {}}]},
            {"containerStatuses": [{"name": "a", "state": {"running": {}}}]},
            None,
        ),
        (
            {"containerStatuses": [{"name": "a", "restartCount": 0}, {"name": "b"}]},
            {"containerStatuses": [{"name": "a", "restartCount": 1}, {"name": "b"}]},
            {"containerStatuses": [{"name": "a", "restartCount": 1}, {"name": "b"}]},
        ),
        ({"ephemeralContainerStatuses": [{"name": "a"}]}, {}, {"ephemeralContainerStatuses": None}),
    ],
)  # fmt: skip
def test_fields(current, wanted, expected):
    assert patched(current, wanted) == expected


def cond(kind="Ready", status="True", **more):
    return {"type": kind, "status": status, **more}


@pytest.mark.parametrize(
    ("current", "wanted", "expected"),
    [
        ([], [cond()], [cond()]),
        ([cond(lastProbeTime=None, lastTransitionTime=NOW)], [cond()], None),
        ([cond("Other")], [cond()], [cond()]),
        ([cond("Other")], [], None),
        (
            [cond(status="False", reason="r", message="m")],
            [cond()],
            [cond(reason=None, message=None)],
        ),
        ([cond(reason="r")], [cond(reason="s")], [cond(reason="s")]),
        ([cond(observedGeneration=1)], [cond(observedGeneration=2)], [cond(observedGeneration=2)]),
        ([cond(), cond("Initialized")], [cond("Initialized"), cond(status="False")], [cond(status="False")]),
    ],
)
def test_conditions_are_merged_by_type(current, wanted, expected):
    status = patched({"conditions": current}, {"conditions": wanted})
    assert (status or {}).get("conditions") == expected


def test_the_first_report_of_a_pod_says_nothing_of_what_is_there():
    pod = make_pod()
    patch = status_patch(pod, pod_status.complete(pod, {"phase": "Running"}, host_ips=["10.0.0.1"], now=NOW))
    assert "qosClass" not in patch["status"]
    assert set(patch["status"]) == {
        "phase", "conditions", "containerStatuses", "hostIP", "hostIPs", "startTime", "observedGeneration",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (None, {}, True),
        ({}, {"a": {"b": None, "c": []}}, True),
        ({"a": 1}, {}, False),
        ([{}], [{"a": ""}], True),
        ([{}], [], False),
        ("a", "b", False),
        ([1, 2], [1, 3], False),
        ({"a": [{"b": 0}]}, {"a": [{}]}, True),
    ],
)
def test_equivalent(one, other, same):
    assert equivalent(one, other) is same
    assert equivalent(other, one) is same
