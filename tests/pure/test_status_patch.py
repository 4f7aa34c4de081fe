from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.pods import make_pod

from virtual_kubelet.pure import pod_status
from virtual_kubelet.pure.patches import schema_of, strategic_merge
from virtual_kubelet.pure.status_patch import OWNED, equivalent, is_part_of, status_patch

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


TIMES = st.sampled_from([NOW, "2026-02-03T04:06:00Z"])
STATES = st.one_of(
    st.fixed_dictionaries({"waiting": st.fixed_dictionaries({"reason": st.sampled_from(["A", "B"])})}),
    st.fixed_dictionaries({"running": st.fixed_dictionaries({"startedAt": TIMES})}),
    st.fixed_dictionaries(
        {"terminated": st.fixed_dictionaries({"exitCode": st.integers(0, 2), "finishedAt": TIMES})}
    ),
)
CONDITIONS = st.fixed_dictionaries(
    {"type": st.sampled_from(["Ready", "x/y", "x/z"]), "status": st.sampled_from(["True", "False"])},
    optional={"reason": st.sampled_from(["R", "S"]), "message": st.just("m")},
)
REPORTS = st.fixed_dictionaries(
    {},
    optional={
        "phase": st.sampled_from(["Pending", "Running", "Succeeded", "Failed"]),
        "reason": st.sampled_from(["", "R"]),
        "podIPs": st.lists(
            st.sampled_from([{"ip": "10.1.0.1"}, {"ip": "10.1.0.2"}, {"ip": "fd00::1"}]),
            max_size=2,
            unique_by=str,
        ),
        "hostIP": st.sampled_from(["10.0.0.1", "10.0.0.2"]),
        "conditions": st.lists(CONDITIONS, max_size=3, unique_by=lambda item: item["type"]),
        "containerStatuses": st.lists(
            st.fixed_dictionaries({"name": st.just("main"), "state": STATES}), max_size=1
        ),
        "ephemeralContainerStatuses": st.lists(
            st.fixed_dictionaries({"name": st.just("debug"), "state": STATES}), max_size=1
        ),
    },
)


@settings(max_examples=60)
@given(before=REPORTS, after=REPORTS)
def test_a_patch_makes_the_server_hold_what_is_wanted(before, after):
    pod = make_pod()
    pod["status"]["conditions"] = [cond("other/one")]
    pod["status"] = {**pod["status"], **pod_status.complete(pod, before, now=NOW)}
    wanted = pod_status.complete(pod, after, now=NOW)
    patch = status_patch(pod, wanted) or {}
    held = strategic_merge(pod, patch, schema_of("", "Pod"))
    assert status_patch(held, wanted) is None
    for field in OWNED:
        assert equivalent(held["status"].get(field), wanted.get(field)), field


@pytest.mark.parametrize(
    ("left", "sent", "part"),
    [
        ({"podIP": "1"}, {"podIP": "1", "phase": "Running"}, True),
        ({"phase": "Running"}, {"podIP": "1"}, False),
        ({"conditions": [{"type": "Ready"}]}, {"conditions": [{"type": "Ready"}, {"type": "x"}]}, True),
        ({"conditions": [{"type": "Ready"}]}, {"conditions": [{"type": "Initialized"}]}, False),
        ({"conditions": [{"type": "Ready"}]}, {"phase": "Running"}, False),
    ],
)
def test_what_a_server_drops_was_in_the_patch(left, sent, part):
    assert is_part_of({"status": left}, {"status": sent}) is part
