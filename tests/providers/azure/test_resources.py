from __future__ import annotations

import pytest

from virtual_kubelet.errors import InvalidInput
from virtual_kubelet.providers.azure.resources import translate


def one(requests=None, limits=None, gpu_type=""):
    resources = {
        name: value for name, value in (("requests", requests), ("limits", limits)) if value is not None
    }
    return translate([{"name": "c", "resources": resources}], gpu_type)[0]


@pytest.mark.parametrize(
    ("requests", "cpu", "memory"),
    [
        (None, 1.0, 1.5),
        ({}, 1.0, 1.5),
        ({"cpu": "500m"}, 0.5, 1.5),
        ({"memory": "1Gi"}, 1.0, 1.0),
        ({"cpu": "1m", "memory": "1"}, 0.01, 0.1),
        ({"cpu": "125m", "memory": "256Mi"}, 0.13, 0.3),
        ({"cpu": "2", "memory": "16Gi"}, 2.0, 16.0),
        ({"cpu": "1.5", "memory": "1G"}, 1.5, 1.0),
        ({"cpu": 4, "memory": "1500Mi"}, 4.0, 1.5),
        ({"cpu": "0", "memory": "0"}, 1.0, 1.5),
        ({"cpu": "1", "memory": "100M", "ephemeral-storage": "1Gi"}, 1.0, 0.1),
    ],
)
def test_requests_are_rounded_up_to_steps(requests, cpu, memory):
    assert one(requests) == {"requests": {"cpu": cpu, "memoryInGB": memory}}


def test_limits_alone_are_requests_too():
    assert one(limits={"cpu": "500m", "memory": "512Mi"}) == {
        "requests": {"cpu": 0.5, "memoryInGB": 0.5},
        "limits": {"cpu": 0.5, "memoryInGB": 0.5},
    }


def test_a_missing_limit_is_the_request():
    assert one({"cpu": "1", "memory": "1Gi"}, {"cpu": "1"})["limits"] == {"cpu": 1.0, "memoryInGB": 1.0}


def test_a_limit_is_capped_to_what_the_group_requests():
    assert one({"cpu": "500m", "memory": "1Gi"}, {"cpu": "4", "memory": "8Gi"})["limits"] == {
        "cpu": 0.5,
        "memoryInGB": 1.0,
    }
    containers = [
        {"name": "a", "resources": {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "4"}}},
        {"name": "b", "resources": {"requests": {"cpu": "2", "memory": "1Gi"}}},
    ]
    first, second = translate(containers, "")
    assert first["limits"] == {"cpu": 3.0, "memoryInGB": 1.0}
    assert "limits" not in second


def test_gpus():
    expected = {"count": 2, "sku": "V100"}
    resources = one({"cpu": "1"}, {"nvidia.com/gpu": "2"}, "v100")
    assert resources["requests"]["gpu"] == resources["limits"]["gpu"] == expected


@pytest.mark.parametrize(
    ("requests", "limits", "words"),
    [
        ({"cpu": "lots"}, None, "spec.containers[0].resources.requests[cpu]: 'lots' is not a quantity"),
        (None, {"memory": "much"}, "resources.requests[memory]"),
        (
            {"example.com/fpga": "1"},
            None,
            "requests[example.com/fpga]: container groups have no such resource",
        ),
        (None, {"hugepages-2Mi": "1"}, "limits[hugepages-2Mi]"),
        (None, {"nvidia.com/gpu": "1"}, "virtual-kubelet.io/gpu-type"),
        (None, {"nvidia.com/gpu": "x"}, "limits[nvidia.com/gpu]"),
    ],
)
def test_what_cannot_be_had_is_named(requests, limits, words):
    with pytest.raises(InvalidInput) as caught:
        one(requests, limits)
    assert words in str(caught.value)
