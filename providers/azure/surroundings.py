"""What the provider knows of the agent that it runs in: the pod context, once it is bound, and whose groups are ours."""

from __future__ import annotations

from collections.abc import Mapping

from virtual_kubelet.errors import Unavailable
from virtual_kubelet.objects import Pod, PodStatus
from virtual_kubelet.provider import PodContext
from virtual_kubelet.providers.azure import volumes
from virtual_kubelet.providers.azure.config import AzureConfig
from virtual_kubelet.providers.azure.ownership import Identity, Owner
from virtual_kubelet.providers.azure.translate import Materials

__all__ = ["Surroundings"]


class Surroundings:
    """The Kubernetes side, present or not: without an agent, a pod can refer to nothing but what it holds."""

    def __init__(self, config: AzureConfig) -> None:
        self._config = config
        self._context: PodContext | None = None
        self._owner = Owner(config.node_name, config.cluster_id)

    def bind(self, context: PodContext) -> None:
        """Take the context; before the first pod."""
        self._context = context
        self._owner = Owner(self._config.node_name, self._config.cluster_id or context.cluster_id)

    @property
    def owner(self) -> Owner:
        """The node and cluster whose groups are ours."""
        return self._owner

    @property
    def namespace(self) -> str:
        """The only namespace that the agent serves, or "" for all."""
        return self._context.namespace if self._context else ""

    def pods(self) -> list[Pod]:
        """Return the pods that the API server has bound to this node; read-only."""
        return self._context.pods() if self._context else []

    def held(self) -> Mapping[str, PodStatus]:
        """Return the statuses that the API server holds of this node's pods, by UID."""
        return {pod["metadata"]["uid"]: pod.get("status", {}) for pod in self.pods()}

    def event(self, identity: Identity, event_type: str, reason: str, message: str) -> None:
        """Record an event about a pod."""
        if self._context:
            pod: Pod = {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {
                    "namespace": identity.namespace,
                    "name": identity.name,
                    "uid": identity.uid,
                },
            }
            self._context.event(pod, event_type, reason, message)

    def materials(self, pod: Pod) -> Materials:
        """Return what `pod` refers to.

        Raises:
            Unavailable: something cannot be had now.
            InvalidInput: something can never be had as it is written.
        """
        questions = volumes.questions(pod)
        context = self._context
        if context is None:
            if questions:
                raise Unavailable(
                    f"volume {next(iter(questions))} needs an agent to read its Secret or ConfigMap"
                )
            return Materials()
        spec = pod["spec"]
        containers = [*spec["containers"], *(spec.get("initContainers") or ())]
        return Materials(
            files={name: context.files(pod, volume) for name, volume in questions.items()},
            secret_names={item["name"]: context.secret_names(pod, item) for item in containers},
            pull_secrets=context.pull_secrets(pod) if spec.get("imagePullSecrets") else (),
            cluster_dns=context.cluster_dns,
        )
