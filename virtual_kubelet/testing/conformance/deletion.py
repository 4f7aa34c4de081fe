"""Pods end when they are told to, whenever that is, and leave nothing; another UID is another pod."""

from __future__ import annotations

import threading

import pytest

from virtual_kubelet.errors import NotFound
from virtual_kubelet.runtime.threads import spawn
from virtual_kubelet.testing.conformance.base import Conformance
from virtual_kubelet.testing.conformance.node import ConformanceNode, deleting, reference

__all__ = ["TestDeletion", "TestIdentity"]

POLITE = "trap 'exit 0' TERM; echo up; while :; do sleep 0.1; done"
STUBBORN = "trap '' TERM; echo up; while :; do sleep 0.1; done"


class TestDeletion(Conformance):
    """`delete_pod`, in time and out of time."""

    def test_a_deleted_pod_goes(self, node: ConformanceNode) -> None:
        """It ends, vanishes, and nothing remains of it."""
        pod = node.run()
        node.end(pod)

    def test_deleting_again_does_no_harm(self, node: ConformanceNode) -> None:
        """`delete_pod` may be called again, while the pod ends and after."""
        pod = node.run()
        for _ in range(3):
            node.delete(pod)
        node.end(pod)
        node.delete(pod)
        assert node.find(pod) is None

    def test_a_pod_that_is_deleted_while_it_begins(self, node: ConformanceNode) -> None:
        """The beginning may be under way: it is ended all the same, and does not come back."""
        for _ in range(5):
            node.end(node.create(node.make()))

    def test_a_pod_that_ended_by_itself(self, node: ConformanceNode) -> None:
        """What has ended is only forgotten."""
        pod = node.create(node.make(node.script("exit 0")))
        node.expect_phase(pod, "Succeeded")
        node.end(pod)

    def test_a_pod_that_crashes_all_the_time(self, node: ConformanceNode) -> None:
        """One between two starts is deleted, too."""
        pod = node.create(node.make(node.script("exit 1"), restartPolicy="Always"))
        node.expect(lambda: node.container(pod).get("restartCount"), lambda: f"{node.status(pod)}")
        node.end(pod)

    def test_the_end_is_awaited_within_the_grace(self, node: ConformanceNode) -> None:
        """A container that ends when it is told to is not waited for any longer, and has its own exit code."""
        pod = node.run(node.script(POLITE))
        node.expect_log(pod, b"up")
        node.delete(pod, 3600)
        node.expect_gone(pod)
        ended = node.container(pod).get("state", {}).get("terminated")
        assert ended is None or ended["exitCode"] == 0

    def test_the_end_is_made_when_the_grace_is_over(self, node: ConformanceNode) -> None:
        """A container that does not listen is killed then."""
        pod = node.run(node.script(STUBBORN))
        node.expect_log(pod, b"up")
        node.delete(pod, 1)
        node.expect_gone(pod, more=1)
        ended = node.container(pod).get("state", {}).get("terminated")
        assert ended is None or ended["exitCode"] != 0

    def test_a_shorter_grace_counts(self, node: ConformanceNode) -> None:
        """Deleted again with grace 0, a pod does not have the time that it was given before."""
        pod = node.run(node.script(STUBBORN))
        node.expect_log(pod, b"up")
        node.delete(pod, 3600)
        node.delete(pod, 0)
        node.expect_gone(pod)

    def test_get_pods_is_whole_while_pods_come_and_go(self, node: ConformanceNode) -> None:
        """It returns all pods, or raises: one that runs is never missing."""
        steady = node.run()
        over = threading.Event()
        gaps: list[str] = []

        def look(when: str) -> None:
            if node.find(steady) is None:
                gaps.append(when)

        def keep_looking() -> None:
            while not over.wait(0.001):
                look("meanwhile")

        thread = spawn(keep_looking, name="conformance-look")
        try:
            for _ in range(4):
                pod = node.create(node.make())
                look("with another pod")
                node.end(pod)
        finally:
            over.set()
            thread.join()
        assert gaps == []


class TestIdentity(Conformance):
    """A pod that was deleted and made again under its name is another pod."""

    def test_the_same_name_again(self, node: ConformanceNode) -> None:
        """When the old one is gone, the new one runs, with a UID of its own."""
        for _ in range(4):
            pod = node.run(name="again")
            assert (node.provider.get_pod("default", "again") or pod)["metadata"]["uid"] == reference(pod)[2]
            node.end(pod)
        assert node.provider.get_pod("default", "again") is None

    def test_deleting_the_old_one_spares_the_new_one(self, node: ConformanceNode) -> None:
        """A late word about the old UID is `NotFound`, and harms nobody."""
        old = node.run(name="again")
        node.end(old)
        new = node.run(name="again")
        with pytest.raises(NotFound):
            node.provider.delete_pod(deleting(old, 0))
        node.expect_running(new)
        node.end(new)
