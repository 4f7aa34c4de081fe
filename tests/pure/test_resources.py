from __future__ import annotations

import pytest

from virtual_kubelet.pure.resources import pod_limits, pod_requests


def container(requests=None, limits=None, **more):
    return {"resources": {"requests": requests, "limits": limits}, **more}


def cpu(amount, **more):
    return container({"cpu": amount}, {"cpu": amount}, **more)


def sidecar(amount):
    return cpu(amount, restartPolicy="Always")


def pod(containers, init=(), **spec):
    return {
        "metadata": {"name": "p"},
        "spec": {"containers": list(containers), "initContainers": list(init), **spec},
    }


def text(amounts):
    return {name: str(amount) for name, amount in amounts.items()}


@pytest.mark.parametrize(
    ("containers", "init", "total"),
    [
        ([cpu("1"), cpu("500m")], [], "1500m"),
        ([cpu("1")], [cpu("3"), cpu("2")], "3"),
        ([cpu("4")], [cpu("3")], "4"),
        # sidecars run beside the containers, and beside init containers that come later
        ([cpu("1")], [sidecar("2")], "3"),
        ([cpu("1")], [sidecar("2"), cpu("5")], "7"),
        ([cpu("1")], [cpu("5"), sidecar("2")], "5"),
        ([cpu("1")], [cpu("5"), sidecar("2"), cpu("4"), sidecar("3")], "6"),
        ([], [sidecar("1"), sidecar("1")], "2"),
    ],
)
def test_containers_of_all_kinds(containers, init, total):
    assert text(pod_requests(pod(containers, init))) == {"cpu": total}
    assert text(pod_limits(pod(containers, init))) == {"cpu": total}


def test_each_resource_has_its_own_worst_moment():
    init = [container({"memory": "1Gi"}), container({"cpu": "2"})]
    assert text(pod_requests(pod([container({"cpu": "1", "memory": "512Mi"})], init))) == {
        "cpu": "2",
        "memory": "1Gi",
    }


def test_a_limit_stands_for_a_request_that_is_not_made():
    requests = pod_requests(
        pod([container({"cpu": "1"}, {"cpu": "2", "memory": "1Gi"}), container(None, {"cpu": "3"})])
    )
    assert text(requests) == {"cpu": "4", "memory": "1Gi"}
    assert text(pod_limits(pod([container({"cpu": "1"})]))) == {}


def test_what_is_said_of_the_whole_pod_stands_for_its_containers():
    whole = {
        "requests": {"cpu": "5", "example.com/gpu": "9"},
        "limits": {"memory": "2Gi", "hugepages-2Mi": "4Mi"},
    }
    limited = pod(
        [container({"cpu": "1", "memory": "1Gi", "example.com/gpu": "1"}, {"cpu": "1"})], resources=whole
    )
    assert text(pod_requests(limited)) == {
        "cpu": "5",
        "memory": "2Gi",
        "example.com/gpu": "1",
        "hugepages-2Mi": "4Mi",
    }
    assert text(pod_limits(limited)) == {"cpu": "1", "memory": "2Gi", "hugepages-2Mi": "4Mi"}


def test_overhead_comes_on_top_of_what_is_limited():
    heavy = pod([container({"cpu": "1"}, {"cpu": "2"})], overhead={"cpu": "250m", "memory": "64Mi"})
    assert text(pod_requests(heavy)) == {"cpu": "1250m", "memory": "64Mi"}
    assert text(pod_limits(heavy)) == {"cpu": "2250m"}


def test_a_pod_that_says_nothing():
    for bare in ({"spec": {}}, pod([{}, {"resources": None}])):
        assert pod_requests(bare) == pod_limits(bare) == {}


def test_what_is_no_quantity():
    with pytest.raises(ValueError, match="'lots' is not a quantity"):
        pod_requests(pod([container({"cpu": "lots"})]))
