"""What is done outside for a pod: make its surroundings, start a container, take the surroundings away.

These run in task threads and may take long; they know nothing of the record. What they cannot do they say by an
error whose `reason` is the container's waiting reason.
"""

from __future__ import annotations

import contextlib
import logging
import os
from dataclasses import dataclass
from pathlib import Path

from virtual_kubelet.errors import InvalidInput, NotFound, ProviderError, Unavailable
from virtual_kubelet.objects import Container, Pod
from virtual_kubelet.podruntime.containers import find
from virtual_kubelet.podruntime.driver import (
    CREATED,
    ContainerInfo,
    ContainerRequest,
    Driver,
    ImageError,
    Sandbox,
    SandboxChanged,
)
from virtual_kubelet.podruntime.pod_state import StartFrom
from virtual_kubelet.podruntime.volumes import Volumes
from virtual_kubelet.provider import LogOptions, PodContext
from virtual_kubelet.pure.expansion import command_line

__all__ = ["Operations", "SandboxError", "StartError", "labels_of"]

logger = logging.getLogger(__name__)

MAX_MESSAGE = 4096
MAX_LOG_MESSAGE = 2048
MAX_LOG_LINES = 80
TERMINATION_LOG = "termination-log"


IMAGE_EVENTS = {
    "ImagePullBackOff": ("Normal", "BackOff"),
    "ErrImageNeverPull": ("Warning", "ErrImageNeverPull"),
    "InvalidImageName": ("Warning", "InspectFailed"),
}
"""The kubelet's events by waiting reason; Failed for the others."""


class StartError(ProviderError):
    """A container cannot be started now."""

    def __init__(self, reason: str, message: str, *, event: str = "") -> None:
        """`reason` is the container's waiting reason, `event` what an event says instead of `message`."""
        super().__init__(message)
        self.reason = reason
        self.event = event or message


class SandboxError(Unavailable):
    """What the containers of a pod share cannot be made now."""


def labels_of(
    pod: Pod, container: Container, attempt: int, node_name: str, cluster_id: str
) -> dict[str, str]:
    """Return what marks a container as this node's, and says whose it is."""
    metadata = pod["metadata"]
    return {
        "node": node_name,
        "cluster": cluster_id,
        "namespace": metadata["namespace"],
        "pod": metadata["name"],
        "uid": metadata["uid"],
        "container": container["name"],
        "attempt": str(attempt),
        "image": container.get("image", ""),
    }


@dataclass(frozen=True)
class Operations:
    """Driver, volumes and Kubernetes in one hand."""

    driver: Driver
    volumes: Volumes
    context: PodContext

    def prepare(self, pod: Pod) -> Sandbox:
        """Make volumes and sandbox."""
        try:
            self.volumes.prepare(pod)
        except OSError as error:
            raise Unavailable(f"cannot make volumes: {error}") from error
        try:
            sandbox = self.driver.prepare_pod(pod)
        except ProviderError as error:
            text = f"Failed to create pod sandbox: {error}"
            raise SandboxError(text, retry_after=error.retry_after) from error
        return sandbox if sandbox.ips else Sandbox(sandbox.id, (self.context.node_ip,))

    def tear_down(self, uid: str) -> None:
        """Remove sandbox and volumes; logs stay."""
        self.driver.release_pod(uid)
        self.volumes.remove(uid)

    def start(self, start: StartFrom, name: str, attempt: int) -> ContainerInfo:
        """Start an attempt; raise `StartError` (or any other `ProviderError`)."""
        pod, sandbox = start.pod, start.sandbox
        source = self._newest(start)
        slot = find(source, name) or find(pod, name)
        if slot is None:
            raise StartError("CreateContainerConfigError", f"the pod has no container {name}")
        container = slot.container
        request = self._request(source, container, attempt, sandbox)
        try:
            container_id = self.driver.create(request)
        except SandboxChanged:
            raise
        except InvalidInput as error:
            raise StartError("CreateContainerConfigError", str(error)) from error
        except ProviderError as error:
            raise StartError("CreateContainerError", str(error)) from error
        self._event(pod, "Normal", "Created", f"Created container: {name}")
        try:
            info = self.driver.start(container_id)
        except ProviderError as error:
            raise StartError("RunContainerError", str(error)) from error
        if info.state == CREATED:
            raise StartError("RunContainerError", "it was started, and has not begun to run")
        if info.reason == "ContainerCannotRun":
            self._event(pod, "Warning", "Failed", f"Error: {info.message}")
        else:
            self._event(pod, "Normal", "Started", f"Started container {name}")
        return info

    def _newest(self, start: StartFrom) -> Pod:
        """Return the pod as the API server has it: its references are resolved anew for each start."""
        uid = start.pod["metadata"]["uid"]
        found = next((item for item in self.context.pods() if item["metadata"].get("uid") == uid), None)
        if found is not None:
            return found
        if not start.whole:
            text = "values from Secrets are not known until the API server has told of the pod"
            raise StartError("CreateContainerConfigError", text)
        return start.pod

    def _request(self, pod: Pod, container: Container, attempt: int, sandbox: Sandbox) -> ContainerRequest:
        name = container["name"]
        image = self._image(pod, container)
        try:
            environment = self.context.environment(pod, container, list(sandbox.ips))
            mounts = self.volumes.mounts(pod, container, environment)
            directory = self.volumes.directory(pod["metadata"]["uid"], name)
            termination_log = self._termination_log(pod["metadata"]["uid"], name)
        except (ProviderError, OSError) as error:
            raise StartError("CreateContainerConfigError", str(error)) from error
        command, args = command_line(container, environment)
        return ContainerRequest(
            pod=pod,
            container=container,
            attempt=attempt,
            sandbox=sandbox,
            command=tuple(command),
            args=tuple(args),
            environment=environment,
            mounts=mounts,
            directory=str(directory),
            termination_log=str(termination_log),
            image=container.get("image", ""),
            image_id=image,
            labels=labels_of(pod, container, attempt, self.context.node_name, self.context.cluster_id),
        )

    def _image(self, pod: Pod, container: Container) -> str:
        reference = container.get("image", "")
        policy = container.get("imagePullPolicy") or "IfNotPresent"
        credentials = self.context.pull_secrets(pod) if pod["spec"].get("imagePullSecrets") else []
        try:
            image = self.driver.ensure_image(
                reference,
                policy,
                credentials,
                lambda: self._event(pod, "Normal", "Pulling", f'Pulling image "{reference}"'),
            )
        except ImageError as error:
            kind, reason = IMAGE_EVENTS.get(error.reason, ("Warning", "Failed"))
            self._event(pod, kind, reason, str(error))
            raise StartError(error.reason, str(error), event=error.reason) from error
        if image.message:
            self._event(pod, "Normal", "Pulled", image.message)
        return image.id

    def _termination_log(self, uid: str, name: str) -> Path:
        """Return an empty file, writable for whoever the container runs as."""
        path = self._message_path(uid, name)
        path.write_bytes(b"")
        path.chmod(0o666)
        return path

    def _message_path(self, uid: str, name: str) -> Path:
        return self.volumes.directory(uid, name).with_name(f"{name}.{TERMINATION_LOG}")

    def termination_message(self, container: Container, info: ContainerInfo) -> str:
        """Return what an ended container left to say, by its terminationMessagePolicy."""
        message = ""
        with contextlib.suppress(OSError):
            path = self._message_path(info.uid, info.name)
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)  # it is the container's to write
            with os.fdopen(fd, "rb") as file:
                message = file.read(MAX_MESSAGE).decode("utf-8", "replace")
        policy = container.get("terminationMessagePolicy")
        if message or policy != "FallbackToLogsOnError" or info.exit_code == 0:
            return message
        return self._end_of_log(info)

    def _end_of_log(self, info: ContainerInfo) -> str:
        try:
            stream = self.driver.logs(info.id, LogOptions(tail=MAX_LOG_LINES))
        except (NotFound, ProviderError):
            return ""
        data = b""
        try:
            while piece := stream.read():
                data = (data + piece)[-MAX_LOG_MESSAGE:]
        finally:
            stream.close()
        return data.decode("utf-8", "replace")

    def _event(self, pod: Pod, kind: str, reason: str, message: str) -> None:
        self.context.event(pod, kind, reason, message)
