from __future__ import annotations

import pytest
from support.pods import make_pod

from virtual_kubelet.pure.pod_acts import Act, Known, choose

PENDING = make_pod()
RUNNING = make_pod(status={"phase": "Running"})
OVER = make_pod(status={"phase": "Failed"})
DELETING = make_pod(metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"})
WAITED = make_pod(status={"containerStatuses": [{"name": "main", "state": {"waiting": {}}}]})
CRASHED = make_pod(
    status={
        "containerStatuses": [
            {"name": "main", "state": {"waiting": {}}, "lastState": {"terminated": {"exitCode": 1}}}
        ]
    }
)
RUNS = {"phase": "Running"}
ENDED = {"phase": "Succeeded"}


@pytest.mark.parametrize(
    ("pod", "reported", "known", "act"),
    [
        (None, None, {}, Act.NOTHING),
        (PENDING, None, {}, Act.CREATE),
        (WAITED, None, {}, Act.CREATE),
        (PENDING, None, {"refused": True}, Act.NOTHING),
        (PENDING, {}, {}, Act.REPORT),
        (PENDING, RUNS, {}, Act.REPORT),
        (PENDING, RUNS, {"changed": True}, Act.UPDATE),
        (RUNNING, RUNS, {"changed": True}, Act.UPDATE),
        (RUNNING, ENDED, {}, Act.REPORT),
        (RUNNING, None, {}, Act.LOSE),
        (CRASHED, None, {}, Act.LOSE),
        (OVER, None, {}, Act.NOTHING),
        (OVER, ENDED, {}, Act.NOTHING),
        (OVER, RUNS, {}, Act.STOP),
        (OVER, RUNS, {"changed": True}, Act.STOP),
        (DELETING, None, {}, Act.DELETE),
        (DELETING, RUNS, {"changed": True}, Act.DELETE),
        (DELETING, None, {"refused": True}, Act.DELETE),
    ],
)
def test_table(pod, reported, known, act):
    assert choose(pod, reported, strangers=False, known=Known(**known)) is act
    assert choose(pod, reported, strangers=True, known=Known(**known)) is Act.SWEEP
