"""Handing a pod to the provider: `create_pod`, `update_pod`, and what is said when they fail."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

from virtual_kubelet.errors import InvalidInput, NotSupported, ProviderError
from virtual_kubelet.node.pod_look import Look
from virtual_kubelet.node.provider_calls import ProviderCalls
from virtual_kubelet.node.snapshot import Snapshot
from virtual_kubelet.node.status_writer import StatusWriter
from virtual_kubelet.objects import Pod
from virtual_kubelet.pure import pod_status
from virtual_kubelet.pure.pod_diff import changeable

__all__ = ["Incomplete", "PodLaunch", "Prepare"]

logger = logging.getLogger(__name__)


class Incomplete(ProviderError):
    """The pod refers to something that is not there (yet)."""

    def __init__(self, message: str, *, container: str = "") -> None:
        super().__init__(message)
        self.container = container
        """The container that waits; "" for all."""


class Prepare(Protocol):
    """Makes the pod that a provider gets from the one that the API server has."""

    def __call__(self, pod: Pod, said: set[str]) -> Pod:
        """Return a copy with every environment resolved.

        `said` remembers the events that are said once a pod. Raises `Incomplete` where a reference is missing,
        `InvalidInput` where one can never be resolved.
        """


class PodLaunch:
    """Creates and updates pods in the provider."""

    def __init__(
        self,
        calls: ProviderCalls,
        snapshot: Snapshot,
        writer: StatusWriter,
        prepare: Prepare,
        event: Callable[[Pod, str, str, str], None],
        *,
        pushing: Callable[[], bool],
    ) -> None:
        self._calls = calls
        self._snapshot = snapshot
        self._writer = writer
        self._prepare = prepare
        self._event = event
        self._pushing = pushing

    def create(self, look: Look) -> bool:
        """Begin `look.pod` in the provider; return False when it was refused for good.

        Raises `ProviderError` when it is to be tried again; the pod's status then says why it waits.
        """
        pod = look.pod
        try:
            handed = self._prepare(pod, look.record.said)
        except Incomplete as error:
            self._wait(look, "CreateContainerConfigError", error, container=error.container)
            raise
        except InvalidInput as error:
            self._refuse(look, "CreateContainerConfigError", error)
            return False
        try:
            with self._snapshot.holding(look.uid):
                self._calls.create_pod(handed)
                self._snapshot.wrote(pod)
        except (InvalidInput, NotSupported) as error:
            self._event(pod, "Warning", "ProviderCreateFailed", str(error))
            self._refuse(look, "CreateContainerError", error)
            return False
        except ProviderError as error:
            self._event(pod, "Warning", "ProviderCreateFailed", str(error))
            self._wait(look, pod_status.PROVIDER_FAILED, error, status_reason=pod_status.PROVIDER_FAILED)
            raise
        look.record.handed = changeable(pod)
        self._event(pod, "Normal", "ProviderCreateSuccess", "Create pod in provider successfully")
        if not self._pushing():
            self._ask(look)
        return True

    def update(self, look: Look) -> None:
        """Give the changed pod to the provider.

        Raises `ProviderError` when it is to be tried again. Whatever happens, the pod's status stays what the
        provider reports: a pod that runs does not stop running because a change of it failed.
        """
        pod, record = look.pod, look.record
        try:
            handed = self._prepare(pod, record.said)
            with self._snapshot.holding(look.uid):
                self._calls.update_pod(handed)
                self._snapshot.wrote(pod)
        except Incomplete:
            raise  # whoever prepared it has said so
        except NotSupported:
            logger.debug("%s: the provider does not update pods", look.key)
        except InvalidInput as error:
            self._event(pod, "Warning", "ProviderUpdateFailed", str(error))
        except ProviderError as error:
            self._event(pod, "Warning", "ProviderUpdateFailed", str(error))
            raise
        else:
            self._event(pod, "Normal", "ProviderUpdateSuccess", "Update pod in provider successfully")
            if not self._pushing():
                self._ask(look)
        record.handed = changeable(pod)

    def _refuse(self, look: Look, reason: str, error: ProviderError) -> None:
        """Say that the pod can never work as it is; it is not tried again until it changes.

        Failed only where nothing would bring a copy of it at once: under a ReplicaSet that is a storm.
        """
        message = str(error)
        logger.warning("%s: refused: %s", look.key, message)
        if look.pod["spec"].get("restartPolicy") == "Never":
            status = pod_status.failed(pod_status.PROVIDER_FAILED, message)
        else:
            status = pod_status.waiting(look.pod, reason, message, status_reason=pod_status.PROVIDER_FAILED)
        self._writer.write(look.pod, status, look.record)
        look.record.refused = changeable(look.pod)  # only now: what could not be said is found out again

    def _wait(
        self, look: Look, reason: str, error: ProviderError, *, container: str = "", status_reason: str = ""
    ) -> None:
        status = pod_status.waiting(
            look.pod, reason, str(error), container=container, status_reason=status_reason
        )
        self._writer.write(look.pod, status, look.record)

    def _ask(self, look: Look) -> None:
        """Ask for the status at once, so that a quick pod is reported in this very look."""
        metadata = look.pod["metadata"]
        try:
            self._snapshot.ask(metadata["namespace"], metadata["name"], look.uid, patient=True)
        except ProviderError as error:
            logger.debug("%s: the provider cannot be asked yet: %s", look.key, error)
