"""The agent ends and another one comes: what runs goes on, is known again, and is not started twice."""

from __future__ import annotations

import pytest

from virtual_kubelet.provider import Closing, KeepingLogs, Purging
from virtual_kubelet.testing.conformance.base import Conformance
from virtual_kubelet.testing.conformance.node import ConformanceNode, reference

__all__ = ["TestRestarts"]


class TestRestarts(Conformance):
    """`close`, `create` once more, and `purge`."""

    def test_what_runs_goes_on(self, node: ConformanceNode) -> None:
        """The same containers, known under the same UID, not started again, also when the agent says create."""
        pods = [node.run() for _ in range(3)]
        before = [node.container(pod) for pod in pods]
        node.restart()
        assert {item["metadata"]["uid"] for item in node.provider.get_pods()} == {
            item["metadata"]["uid"] for item in pods
        }
        for pod in pods:
            node.create(pod)
            node.expect_running(pod)
        for pod, item in zip(pods, before, strict=True):
            after = node.container(pod)
            for key in ("containerID", "restartCount", "state"):
                assert after.get(key) == item.get(key), f"{key} of {reference(pod)[1]}"

    def test_nothing_is_written_twice(self, node: ConformanceNode) -> None:
        """A container that had begun does not begin again: its log has its first line once."""
        node.need(KeepingLogs)
        pod = node.run(node.script("echo begun; trap 'exit 0' TERM; sleep 1000000 & wait"))
        node.expect_log(pod, b"begun\n")
        for _ in range(2):
            node.restart()
            node.create(pod)
        node.expect_running(pod)
        assert node.logs(pod) == b"begun\n"

    def test_an_end_that_nobody_saw(self, node: ConformanceNode) -> None:
        """The exit code of a container that ended while no agent was there is told by the next one."""
        pod = node.create(node.make(node.script("sleep 1; exit 42")))
        node.expect(  # running, or where this machine stood still: ended already
            lambda: "waiting" not in node.container(pod).get("state", {"waiting": {}}),
            lambda: f"{node.status(pod)}",
        )
        node.restart()
        node.expect_phase(pod, "Failed")
        assert node.container(pod)["state"]["terminated"]["exitCode"] == 42

    def test_what_had_ended(self, node: ConformanceNode) -> None:
        """A pod that was over stays so, with its exit code, and does not run again."""
        pod = node.create(node.make(node.script("exit 3")))
        node.expect_phase(pod, "Failed")
        node.restart()
        node.create(pod)
        assert node.expect_phase(pod, "Failed")["containerStatuses"][0]["restartCount"] == 0
        assert node.container(pod)["state"]["terminated"]["exitCode"] == 3

    def test_restarts_are_counted_on(self, node: ConformanceNode) -> None:
        """A new agent does not begin anew with restartCount."""
        pod = node.create(node.make(node.script("exit 1"), restartPolicy="Always"))
        node.expect(lambda: node.container(pod).get("restartCount"), lambda: f"{node.status(pod)}")
        node.restart()
        node.expect(lambda: node.container(pod).get("restartCount"), lambda: f"{node.status(pod)}")

    def test_a_pod_of_the_last_agent_is_deleted(self, node: ConformanceNode) -> None:
        """What another agent began, this one ends, and nothing is left."""
        pod = node.run()
        node.restart()
        node.end(pod)

    def test_a_deletion_that_the_last_agent_began(self, node: ConformanceNode) -> None:
        """It is told again, and comes to its end."""
        pod = node.run()
        node.delete(pod)
        node.restart()
        node.end(pod)

    def test_closing_begins_and_ends_nothing(self, node: ConformanceNode) -> None:
        """A provider that has nothing to do is closed and made as often as one likes."""
        for _ in range(3):
            node.restart()
        assert node.provider.get_pods() == []

    def test_purging_ends_everything(self, node: ConformanceNode) -> None:
        """After `purge` nothing runs, and the next provider has no pods."""
        node.need(Purging)
        for _ in range(2):
            node.run()
        node.purge()
        node.restart()
        assert node.provider.get_pods() == []

    def test_closing_comes_before_purging(self, node: ConformanceNode) -> None:
        """`purge` works after `close` too, as when a trial ends."""
        provider = node.need(Purging)
        if not isinstance(provider, Closing):
            pytest.skip("the provider does not have the ability Closing")
        node.run()
        node.close()
        node.purge()
        node.open()
        assert node.provider.get_pods() == []
