from __future__ import annotations

import pytest

from virtual_kubelet.pure.node_conditions import node_conditions, transitions

THEN, NOW = "2026-01-01T00:00:00Z", "2026-01-01T00:05:00Z"


def conditions(reported=(), held=(), problem=""):
    return {c["type"]: c for c in node_conditions(reported, held, problem=problem, now=NOW)}


def test_silence_is_health():
    found = conditions()
    assert {kind: item["status"] for kind, item in found.items()} == {
        "MemoryPressure": "False",
        "DiskPressure": "False",
        "PIDPressure": "False",
        "NetworkUnavailable": "False",
        "Ready": "True",
    }
    assert (found["Ready"]["reason"], found["Ready"]["message"]) == ("KubeletReady", "Kubelet is ready")
    assert all(item["reason"] and item["message"] for item in found.values())
    assert {item["lastHeartbeatTime"] for item in found.values()} == {NOW}
    assert {item["lastTransitionTime"] for item in found.values()} == {NOW}


def test_transition_times_stay_with_the_status():
    held = node_conditions((), (), problem="", now=THEN)
    found = conditions([{"type": "DiskPressure", "status": "True", "reason": "Full"}], held)
    assert found["Ready"]["lastTransitionTime"] == THEN
    assert found["Ready"]["lastHeartbeatTime"] == NOW
    assert found["DiskPressure"]["lastTransitionTime"] == NOW


def test_a_provider_may_know_the_time():
    assert conditions([{"type": "Ready", "status": "False", "lastTransitionTime": THEN}])["Ready"] == {
        "type": "Ready",
        "status": "False",
        "lastTransitionTime": THEN,
        "lastHeartbeatTime": NOW,
    }


def test_a_bare_word_of_health_gets_the_usual_reason():
    assert conditions([{"type": "Ready", "status": "True"}])["Ready"]["reason"] == "KubeletReady"


def test_a_problem_beats_what_the_provider_says():
    ready = conditions([{"type": "Ready", "status": "True"}], problem="the backend is away")["Ready"]
    assert (ready["status"], ready["reason"], ready["message"]) == (
        "False",
        "KubeletNotReady",
        "the backend is away",
    )


def test_conditions_of_the_providers_own():
    assert conditions([{"type": "QuotaExhausted", "status": "True"}])["QuotaExhausted"]["status"] == "True"


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        (None, "True", "NodeReady"),
        (None, "False", "NodeNotReady"),
        ("False", "True", "NodeReady"),
        ("Unknown", "True", "NodeReady"),
        ("True", "False", "NodeNotReady"),
        ("True", "True", ""),
        ("True", None, ""),
    ],
)
def test_transitions(before, after, reason):
    def ready(status):
        return [{"type": "Ready", "status": status}] if status else []

    assert transitions(ready(before), ready(after)) == reason
