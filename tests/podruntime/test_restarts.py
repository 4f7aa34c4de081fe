from __future__ import annotations

import pytest

from virtual_kubelet.podruntime.containers import APP, EPHEMERAL, INIT, SIDECAR, Slot
from virtual_kubelet.podruntime.restarts import CrashBackoff, should_restart


@pytest.mark.parametrize(
    ("kind", "policy", "code", "expected"),
    [
        (APP, "Always", 0, True),
        (APP, "Always", 1, True),
        (APP, "OnFailure", 0, False),
        (APP, "OnFailure", 1, True),
        (APP, "Never", 0, False),
        (APP, "Never", 1, False),
        (INIT, "Always", 0, False),
        (INIT, "Always", 1, True),
        (INIT, "OnFailure", 1, True),
        (INIT, "Never", 1, False),
        (SIDECAR, "Never", 0, True),
        (SIDECAR, "Never", 1, True),
        (EPHEMERAL, "Always", 1, False),
    ],
)
def test_policy(kind, policy, code, expected):
    assert should_restart(Slot(kind, {"name": "c"}), policy, code) is expected


RULE = {"action": "Restart", "exitCodes": {"operator": "In", "values": [42, 43]}}
OTHER = {"action": "Restart", "exitCodes": {"operator": "NotIn", "values": [0]}}


@pytest.mark.parametrize(
    ("fields", "code", "expected"),
    [
        ({"restartPolicy": "Never", "restartPolicyRules": [RULE]}, 42, True),
        ({"restartPolicy": "Never", "restartPolicyRules": [RULE]}, 1, False),
        ({"restartPolicy": "Never", "restartPolicyRules": [OTHER]}, 1, True),
        ({"restartPolicy": "Never", "restartPolicyRules": [OTHER]}, 0, False),
        ({"restartPolicy": "OnFailure"}, 0, False),
        ({"restartPolicy": "OnFailure"}, 1, True),
        ({"restartPolicy": "Never"}, 1, False),
    ],
)
def test_a_containers_own_policy_and_rules(fields, code, expected):
    assert should_restart(Slot(APP, {"name": "c", **fields}), "Always", code) is expected


def test_the_first_restart_comes_at_once_then_each_waits_twice_as_long():
    backoff, now, waits = CrashBackoff(), 1000.0, []
    for _ in range(8):
        ready = backoff.ready_at(now)
        waits.append(ready - now)
        backoff = backoff.restarted(now, ready)
        now = ready + 1  # it ran for a second
    assert waits == [0, 10, 20, 40, 80, 160, 300, 300]


def test_ten_quiet_minutes_begin_anew():
    backoff = CrashBackoff(160.0, 1000.0)
    assert backoff.ready_at(1599.0) == 1759.0
    assert backoff.ready_at(1601.0) == 1601.0
    assert backoff.restarted(1601.0, 1601.0) == CrashBackoff(10.0, 1601.0)
