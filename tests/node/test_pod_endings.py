"""What is remembered of pods that the provider was told to end."""

from __future__ import annotations

import contextlib

import pytest
from support.pods import make_pod

from virtual_kubelet.node.pod_endings import MEMORY, PodEndings
from virtual_kubelet.objects import pod_key
from virtual_kubelet.pure.sightings import Sighting
from virtual_kubelet.runtime.clock import SteppedClock

RUNNING = {"phase": "Running", "containerStatuses": [{"name": "main", "state": {"running": {}}}]}


class Listing:
    """A snapshot of which every word says that all pods run."""

    def __init__(self, *pods):
        self.pods, self.words = {pod_key(pod): pod for pod in pods}, 0

    def order(self):
        self.words += 1
        return self.words

    def of(self, key):
        metadata = self.pods[key]["metadata"]
        return {metadata["uid"]: Sighting(metadata, RUNNING, self.order())}

    def ask(self, namespace, name, uid, *, patient):
        pass

    @contextlib.contextmanager
    def holding(self, uid):
        yield


class Calls:
    def __init__(self):
        self.graces = []

    def delete_pod(self, pod):
        self.graces.append(pod["metadata"]["deletionGracePeriodSeconds"])


@pytest.fixture
def pod():
    return make_pod()


@pytest.fixture
def other():
    return make_pod("other")


@pytest.fixture
def clock():
    return SteppedClock()


@pytest.fixture
def calls():
    return Calls()


@pytest.fixture
def endings(pod, other, calls, clock):
    return PodEndings(calls, Listing(pod, other), lambda *_: None, pushing=lambda: False, clock=clock)


def test_it_is_told_once_and_again_when_its_time_is_shortened(endings, calls, pod):
    for grace in (600, 600, 700, 10, 30, 10, 0, 0):
        endings.end(pod, grace)
    assert calls.graces == [600, 10, 0]


def test_what_is_not_done_with_is_never_forgotten(endings, calls, clock, pod, other):
    endings.end(pod, 3600)
    clock.advance(MEMORY * 10)
    endings.end(other, 30)
    endings.forget(other["metadata"]["uid"])
    endings.end(pod, 3600)
    assert calls.graces == [3600, 30]


def test_what_is_done_with_is_forgotten_in_a_while(endings, calls, clock, pod, other):
    uid = pod["metadata"]["uid"]
    assert not endings.told(uid)
    endings.forget(uid)  # never told of
    endings.end(pod, 30)
    endings.forget(uid)
    clock.advance(MEMORY - 1)
    endings.forget(uid)  # once more does not prolong it
    assert endings.told(uid)
    endings.end(other, 30)
    clock.advance(1)
    endings.forget(other["metadata"]["uid"])
    assert not endings.told(uid)
    assert endings.told(other["metadata"]["uid"])


def test_what_is_told_of_anew_outlives_what_was_done_with(endings, calls, clock, pod, other):
    uid = pod["metadata"]["uid"]
    endings.end(pod, 30)
    endings.forget(uid)
    endings.end(pod, 0)
    clock.advance(MEMORY)
    endings.forget(other["metadata"]["uid"])
    assert endings.told(uid)
    assert calls.graces == [30, 0]


def test_a_process_that_stood_still_gives_the_provider_its_time(endings, clock, pod):
    progress = endings.end(pod, 3)
    clock.advance(progress.delay + 60)  # stopped, and the provider in it
    progress = endings.end(pod, 3)
    assert not progress.overdue
    waited = 0.0
    while not progress.overdue:
        waited += progress.delay
        clock.advance(progress.delay)
        progress = endings.end(pod, 3)
    assert 10 <= waited <= 14
