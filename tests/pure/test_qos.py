from __future__ import annotations

import pytest

from virtual_kubelet.pure.qos import qos_class

FULL = {"limits": {"cpu": "1", "memory": "1Gi"}}


@pytest.mark.parametrize(
    ("containers", "init", "pod", "expected"),
    [
        ([{}], [], None, "BestEffort"),
        ([{"requests": {"cpu": "0"}}], [], None, "BestEffort"),
        ([{"requests": {"ephemeral-storage": "1Gi"}}], [], None, "BestEffort"),
        ([{"requests": {"cpu": "100m"}}], [], None, "Burstable"),
        ([FULL], [], None, "Guaranteed"),
        ([{**FULL, "requests": {"cpu": "1000m", "memory": "1024Mi"}}], [], None, "Guaranteed"),
        ([{**FULL, "requests": {"cpu": "500m", "memory": "1Gi"}}], [], None, "Burstable"),
        ([{"limits": {"cpu": "1"}}], [], None, "Burstable"),
        ([FULL, {}], [], None, "Burstable"),
        ([FULL], [{}], None, "Burstable"),
        ([FULL], [FULL], None, "Guaranteed"),
        ([{}], [], FULL, "Guaranteed"),
        ([FULL], [], {"requests": {"cpu": "1"}}, "Burstable"),
    ],
)
def test_class(containers, init, pod, expected):
    spec = {
        "containers": [{"name": str(i), "resources": r} for i, r in enumerate(containers)],
        "initContainers": [{"name": str(i), "resources": r} for i, r in enumerate(init)],
    }
    if pod:
        spec["resources"] = pod
    assert qos_class(spec) == expected
