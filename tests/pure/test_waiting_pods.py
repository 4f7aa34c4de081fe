from __future__ import annotations

import pytest

from virtual_kubelet.pure.waiting_pods import has_begun, key_of, lacks_something, names, waits_for

KEY = key_of("ConfigMap", "default", "settings")


def pod(*, optional=False, deleted=False, **status):
    source = {"configMapRef": {"name": "settings", "optional": optional}}
    metadata = {"namespace": "default", "name": "web", **({"deletionTimestamp": "x"} if deleted else {})}
    return {
        "metadata": metadata,
        "spec": {"containers": [{"name": "c", "envFrom": [source]}]},
        "status": status,
    }


def test_names():
    assert names(pod()) == [KEY]
    assert names({"metadata": {"namespace": "default", "name": "web"}}) == []


@pytest.mark.parametrize(
    ("given", "waits"),
    [
        (pod(), True),
        (pod(phase="Pending"), True),
        (pod(phase="Running"), False),
        (pod(optional=True), False),
        (pod(deleted=True), False),
    ],
)
def test_who_waits(given, waits):
    assert waits_for(given, KEY) is waits
    assert not waits_for(given, key_of("Secret", "default", "settings"))


@pytest.mark.parametrize(
    ("statuses", "lacks", "begun"),
    [
        ({}, False, False),
        ({"containerStatuses": None}, False, False),
        ({"containerStatuses": [{"state": {"waiting": {"reason": "ContainerCreating"}}}]}, False, False),
        (
            {"containerStatuses": [{"state": {"waiting": {"reason": "CreateContainerConfigError"}}}]},
            True,
            False,
        ),
        (
            {"initContainerStatuses": [{"state": {"waiting": {"reason": "CreateContainerConfigError"}}}]},
            True,
            False,
        ),
        ({"initContainerStatuses": [{"state": {"terminated": {"exitCode": 0}}}]}, False, True),
        ({"containerStatuses": [{"state": {"running": {}}}]}, False, True),
    ],
)
def test_what_a_status_tells(statuses, lacks, begun):
    assert (lacks_something(pod(**statuses)), has_begun(pod(**statuses))) == (lacks, begun)
