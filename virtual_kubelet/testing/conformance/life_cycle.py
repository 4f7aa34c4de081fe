"""A pod begins, runs, changes and ends; the node says what it is."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from virtual_kubelet import codec
from virtual_kubelet.errors import InvalidInput, NotFound
from virtual_kubelet.objects import Node, Pod
from virtual_kubelet.provider import ConfiguringNode, NodeAddresses, Notifying, Pinging, Provider
from virtual_kubelet.pure import quantity
from virtual_kubelet.testing.conformance.base import Conformance
from virtual_kubelet.testing.conformance.node import MAIN, ConformanceNode, reference
from virtual_kubelet.testing.conformance.profile import named

__all__ = ["TestEndings", "TestLifeCycle", "TestNode"]


class TestNode(Conformance):
    """What the provider says of the node."""

    def test_the_nine_methods_are_there(self, node: ConformanceNode) -> None:
        """A provider has every method of `Provider`."""
        assert isinstance(node.provider, Provider)

    def test_capacity_is_in_quantities(self, node: ConformanceNode) -> None:
        """`capacity` names cpu, memory and pods at least, in Kubernetes' quantities."""
        capacity = node.provider.capacity()
        assert {"cpu", "memory", "pods"} <= set(capacity)
        for name, amount in capacity.items():
            assert quantity.parse(amount).nanos >= 0, name

    def test_the_operating_system_is_one(self, node: ConformanceNode) -> None:
        """`operating_system` is Linux or Windows."""
        assert node.provider.operating_system() in {"Linux", "Windows"}

    def test_node_conditions_are_conditions(self, node: ConformanceNode) -> None:
        """Each condition has a type, which no other has, and a status."""
        conditions = node.provider.node_conditions()
        assert len({item["type"] for item in conditions}) == len(conditions)
        assert {item["status"] for item in conditions} <= {"True", "False", "Unknown"}

    def test_configuring_the_node_twice_changes_nothing(self, node: ConformanceNode) -> None:
        """`configure_node` is called again before each report, and then does the same."""
        provider = node.need(ConfiguringNode)
        once: Node = {"metadata": {"name": "n"}, "spec": {}, "status": {}}
        provider.configure_node(once)
        twice = codec.copy(once)
        provider.configure_node(twice)
        assert twice == once

    def test_addresses_have_a_type(self, node: ConformanceNode) -> None:
        """`node_addresses` gives a type and an address each."""
        for item in node.need(NodeAddresses).node_addresses():
            assert item["type"], item
            assert item["address"], item

    def test_a_healthy_backend_answers(self, node: ConformanceNode) -> None:
        """`ping` returns when the backend is there."""
        node.need(Pinging).ping()


class TestLifeCycle(Conformance):
    """From `create_pod` to what is told about it."""

    def test_a_pod_runs_and_is_found(self, node: ConformanceNode) -> None:
        """`get_pods`, `get_pod` and `get_pod_status` know a pod that was created."""
        pod = node.run()
        namespace, name, uid = reference(pod)
        found = node.provider.get_pod(namespace, name)
        assert found is not None
        assert reference(found) == (namespace, name, uid)
        assert (node.provider.get_pod_status(namespace, name) or {}).get("phase") == "Running"
        listed = node.find(pod)
        assert listed is not None
        assert reference(listed) == (namespace, name, uid)

    def test_several_containers_run_in_one_pod(self, node: ConformanceNode) -> None:
        """All containers of a pod run."""
        fields = node.profile.running()
        pod = node.create(node.make(containers=[named(fields, "one"), named(fields, "two")]))
        node.expect_running(pod)

    def test_what_nobody_created_is_not_there(self, node: ConformanceNode) -> None:
        """Of a pod that there is not, nothing is said; deleting it is `NotFound`."""
        pod = node.make()
        assert node.provider.get_pod("default", "nobody") is None
        assert node.provider.get_pod_status("default", "nobody") is None
        assert node.find(pod) is None
        with pytest.raises(NotFound):
            node.provider.delete_pod(pod)

    def test_namespaces_are_kept_apart(self, node: ConformanceNode) -> None:
        """Pods of one name in two namespaces are two pods."""
        first, second = node.make(name="same"), node.make(name="same")
        second["metadata"]["namespace"] = "other"
        for pod in (first, second):
            node.create(pod)
        for pod in (first, second):
            node.expect_running(pod)
        node.end(first)
        assert node.provider.get_pod("default", "same") is None
        assert node.status(second)["phase"] == "Running"

    def test_created_twice_is_created_once(self, node: ConformanceNode) -> None:
        """`create_pod` is called again after an error, and after a crash of the agent; then it does no harm."""
        pod = node.create(node.make())
        node.create(pod)
        node.expect_running(pod)
        before = node.container(pod)
        node.create(pod)
        node.expect_running(pod)
        assert _identity(node.container(pod)) == _identity(before)

    def test_an_update_leaves_containers_alone(self, node: ConformanceNode) -> None:
        """New labels and annotations start nothing anew."""
        pod = node.run()
        before = node.container(pod)
        changed = codec.copy(pod)
        changed["metadata"] |= {
            "labels": {"tier": "web"},
            "annotations": {"note": "x"},
            "resourceVersion": "2",
        }
        node.update(changed)
        node.expect_running(changed)
        assert _identity(node.container(changed)) == _identity(before)

    def test_changes_are_told(self, node: ConformanceNode) -> None:
        """A provider that pushes says by itself that a pod runs, and that it is gone."""
        node.need(Notifying)
        pod = node.run()
        node.expect(lambda: node.pushed(pod), lambda: "nothing was told of a pod that runs")
        told = len(node.pushed(pod))
        node.delete(pod)
        node.expect(lambda: len(node.pushed(pod)) > told, lambda: "nothing was told of a pod that ends")

    def test_what_was_handed_out_stays_as_it_was(self, node: ConformanceNode) -> None:
        """Pods and statuses are read long after: they are copies, or never changed."""
        pod = node.run()
        handed: list[object] = [node.provider.get_pods(), node.provider.get_pod(*reference(pod)[:2])]
        handed.append(node.provider.get_pod_status(*reference(pod)[:2]))
        copies = codec.copy(handed)
        node.delete(pod)
        node.expect_gone(pod)
        assert handed == copies

    def test_several_threads_at_once(self, node: ConformanceNode) -> None:
        """Calls come from several threads, though never two at once for one pod."""
        pods = [node.make() for _ in range(6)]
        with ThreadPoolExecutor(3) as threads:
            list(threads.map(node.create, pods))
            list(threads.map(node.expect_running, pods))
            list(threads.map(node.delete, pods))
        for pod in pods:
            node.end(pod)


class TestEndings(Conformance):
    """Containers that end by themselves: with commands only."""

    def test_success(self, node: ConformanceNode) -> None:
        """Exit code 0 is success."""
        pod = node.create(node.make(node.script("exit 0")))
        node.expect_phase(pod, "Succeeded")
        assert _exit_code(node, pod) == 0

    def test_failure(self, node: ConformanceNode) -> None:
        """Another exit code is failure, and is told."""
        pod = node.create(node.make(node.script("exit 3")))
        node.expect_phase(pod, "Failed")
        assert _exit_code(node, pod) == 3

    def test_one_container_of_two_fails(self, node: ConformanceNode) -> None:
        """A pod whose containers have ended, one of them badly, has failed."""
        fields = {"one": node.script("exit 0"), "two": node.script("exit 4")}
        pod = node.create(node.make(containers=[named(item, name) for name, item in fields.items()]))
        node.expect_phase(pod, "Failed")
        assert node.container(pod, "two")["state"]["terminated"]["exitCode"] == 4

    @pytest.mark.parametrize("policy", ["Always", "OnFailure"])
    def test_what_fails_is_started_again(self, node: ConformanceNode, policy: str) -> None:
        """restartPolicy: a failed container starts again, is counted, and its last end is kept."""
        pod = node.create(node.make(node.script("exit 5"), restartPolicy=policy))
        node.expect(
            lambda: node.container(pod).get("restartCount", 0) >= 1,
            lambda: f"not started again: {node.status(pod)}",
        )
        item = node.container(pod)
        ended = item.get("lastState", {}).get("terminated") or item["state"].get("terminated")
        assert ended is not None
        assert ended["exitCode"] == 5
        assert node.status(pod)["phase"] == "Running"

    def test_success_is_not_started_again(self, node: ConformanceNode) -> None:
        """OnFailure: a container that succeeded has ended for good."""
        pod = node.create(node.make(node.script("exit 0"), restartPolicy="OnFailure"))
        node.expect_phase(pod, "Succeeded")
        assert node.container(pod)["restartCount"] == 0

    def test_environment_and_arguments(self, node: ConformanceNode) -> None:
        """Variables reach the container, and `$(NAME)` in its arguments is their value."""
        fields = node.script('[ "$COLOUR" = blue ] && [ "$1" = "blue sky" ] || exit 9')
        more = {"env": [{"name": "COLOUR", "value": "blue"}], "args": ["sh", "$(COLOUR) sky"]}
        pod = node.create(node.make({**fields, **more}))
        node.expect_phase(pod, "Succeeded")

    def test_an_init_container_comes_first(self, node: ConformanceNode) -> None:
        """Containers start when the init container has ended well."""
        init = [named(node.script("exit 0"), "first")]
        pod = _unless_refused(node, node.make(initContainers=init))
        node.expect_running(pod)
        first = node.status(pod)["initContainerStatuses"][0]
        assert first["state"]["terminated"]["exitCode"] == 0

    def test_a_failed_init_container_fails_the_pod(self, node: ConformanceNode) -> None:
        """With restartPolicy Never, nothing starts after an init container that failed."""
        init = [named(node.script("exit 6"), "first")]
        pod = _unless_refused(node, node.make(initContainers=init))
        status = node.expect_phase(pod, "Failed")
        assert "running" not in status["containerStatuses"][0]["state"]


def _exit_code(node: ConformanceNode, pod: Pod) -> int:
    return node.container(pod, MAIN)["state"]["terminated"]["exitCode"]


def _identity(status: object) -> list[object]:
    assert isinstance(status, dict)
    return [status.get("containerID"), status["restartCount"], status["state"]["running"]["startedAt"]]


def _unless_refused(node: ConformanceNode, pod: Pod) -> Pod:
    try:
        return node.create(pod)
    except InvalidInput as error:
        pytest.skip(f"the provider refuses it: {error}")
