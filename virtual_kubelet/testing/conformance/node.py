"""A provider without an agent: bound to a local context, told what an agent would tell it, closed and made again."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar, cast

import pytest

from virtual_kubelet import codec
from virtual_kubelet.errors import NotFound, NotSupported, Unavailable
from virtual_kubelet.objects import ContainerStatus, Pod, PodStatus
from virtual_kubelet.provider import (
    Binding,
    Closing,
    KeepingLogs,
    LogOptions,
    Notifying,
    Provider,
    ProviderConfig,
    Purging,
)
from virtual_kubelet.pure import pod_status, times
from virtual_kubelet.testing.conformance.profile import ConformanceProfile, Fields, named
from virtual_kubelet.testing.conformance.statuses import complaints, refusals
from virtual_kubelet.testing.context import LocalContext
from virtual_kubelet.testing.waiting import eventually

__all__ = ["GRACE", "MAIN", "ConformanceNode", "deleting", "reference", "supported"]

MAIN = "main"
"""The name of a pod's container, where it has one."""

GRACE = 2
"""Seconds that a deleted pod has, where a test does not say: so a container that missed SIGTERM costs no more."""

CLOSE_TIMEOUT = 10.0  # seconds
T = TypeVar("T")
_names = itertools.count(1)


class ConformanceNode:
    """What tests hold: the provider, and an agent's way with it.

    `expect` and the methods made of it wait for what is promised, and fail with what is there instead. Every status
    that is read is looked at as an API server would.
    """

    def __init__(self, profile: ConformanceProfile, state: Path, name: str = "conformance") -> None:
        self.profile = profile
        self.context = LocalContext(node_name=name, state_dir=str(state))
        self._config = ProviderConfig(
            node_name=name,
            config_path=profile.config_path,
            internal_ip=self.context.node_ip,
            state_dir=str(state),
            environ=profile.environ,
        )
        self._lock = threading.Lock()  # guards _pushed
        self._pushed: list[tuple[str, str, str, PodStatus | None]] = []
        self._pods: dict[str, Pod] = {}  # by UID, with the newest status: what an API server would hold
        self.provider: Provider
        self.open()

    # --- the provider's life

    def open(self) -> None:
        """Make the provider and bind it, as an agent that starts; wait until it knows its pods."""
        self.provider = self.profile.create(self._config)
        if isinstance(self.provider, Notifying):
            self.provider.notify_pods(self._take)
        if isinstance(self.provider, Binding):
            self.provider.bind(self.context)
        self.expect(self._lists, lambda: "get_pods still raises Unavailable")

    def close(self) -> None:
        """Close the provider, as an agent that stops."""
        if isinstance(self.provider, Closing):
            self.provider.close(CLOSE_TIMEOUT)

    def restart(self) -> None:
        """Close the provider and make it again; skips the test where pods do not outlive that."""
        if not self.profile.survives:
            pytest.skip("profile.survives is False: pods end with the provider")
        self.close()
        self.open()

    def need(self, ability: type[T]) -> T:
        """Return the provider as what has `ability`; skip the test where it has not."""
        if not isinstance(self.provider, ability):
            pytest.skip(f"the provider does not have the ability {ability.__name__}")
        return self.provider

    def _lists(self) -> bool:
        try:
            self.provider.get_pods()
        except Unavailable:
            return False
        return True

    def _take(self, namespace: str, name: str, uid: str, status: PodStatus | None) -> None:
        with self._lock:
            self._pushed.append((namespace, name, uid, codec.copy(status)))

    def pushed(self, pod: Pod) -> list[PodStatus | None]:
        """Return what the provider told by itself of a pod, oldest first."""
        with self._lock:
            return [status for *key, status in self._pushed if tuple(key) == reference(pod)]

    # --- containers

    def given(self, value: T | None, missing: str) -> T:
        """Return what the profile says; skip the test where it does not."""
        if value is None:
            pytest.skip(f"the profile does not say {missing}, and has no shell")
        return value

    def script(self, text: str) -> Fields:
        """Return the fields of a container that runs a script; skip the test where containers run no commands."""
        if self.profile.shell is None:
            pytest.skip("profile.shell is None: containers run no commands")
        return self.profile.script(text)

    # --- pods

    def make(self, fields: Fields | None = None, *, name: str = "", **spec: Any) -> Pod:
        """Return a pod whose one container has `fields`, by default those of one that runs until it is ended."""
        containers = [named(self.profile.running() if fields is None else fields, MAIN)]
        metadata = {
            "namespace": "default",
            "name": name or f"pod-{next(_names)}",
            "uid": str(uuid.uuid4()),
            "resourceVersion": "1",
            "creationTimestamp": times.rfc3339(time.time()),
        }
        rest = {"restartPolicy": "Never", "terminationGracePeriodSeconds": GRACE, "containers": containers}
        return cast("Pod", {"metadata": metadata, "spec": {**rest, **self.profile.spec, **spec}})

    def create(self, pod: Pod) -> Pod:
        """Tell the provider to create `pod`."""
        self._pods[pod["metadata"]["uid"]] = pod
        self.context.api_pods = list(self._pods.values())
        self.provider.create_pod(codec.copy(pod))
        return pod

    def run(self, fields: Fields | None = None, **spec: Any) -> Pod:
        """Create a pod and wait until its containers run."""
        pod = self.create(self.make(fields, **spec))
        self.expect_running(pod)
        return pod

    def update(self, pod: Pod) -> None:
        """Tell the provider of a changed pod."""
        self._pods[pod["metadata"]["uid"]] = pod
        self.context.api_pods = list(self._pods.values())
        self.provider.update_pod(codec.copy(pod))

    def delete(self, pod: Pod, grace: int = GRACE) -> None:
        """Tell the provider to delete `pod`; that it has none is no failure here."""
        with contextlib.suppress(NotFound):
            self.provider.delete_pod(deleting(pod, grace))

    def end(self, pod: Pod, grace: int = GRACE) -> None:
        """Delete `pod` as an agent does, until nothing of it is left."""
        self.delete(pod, grace)
        self.expect_gone(pod)
        self.expect(
            lambda: self._forgotten(pod), lambda: f"{_label(pod)} is still listed, deleted again and again"
        )
        del self._pods[pod["metadata"]["uid"]]
        self.context.api_pods = list(self._pods.values())
        self.expect_nothing_remains(pod)

    def _forgotten(self, pod: Pod) -> bool:
        if self.find(pod) is None:
            return True
        self.delete(pod, 0)
        return False

    # --- what is there

    def find(self, pod: Pod) -> Pod | None:
        """Return what `get_pods` says of this pod, and no other of its name."""
        uid = pod["metadata"]["uid"]
        found = [item for item in self.provider.get_pods() if item["metadata"]["uid"] == uid]
        assert len(found) <= 1, f"get_pods has {_label(pod)} {len(found)} times"
        return found[0] if found else None

    def status(self, pod: Pod) -> PodStatus:
        """Return the whole status of `pod`, as the agent would write it; {} when the provider has none."""
        found = self.find(pod)
        if found is None:
            return {}
        before = self._pods.get(pod["metadata"]["uid"], pod)
        reported = codec.copy(found["status"])
        problems = complaints(before, reported)
        assert not problems, f"the status of {_label(pod)} is not a valid one: {problems}\n{reported}"
        status = pod_status.complete(
            before, reported, host_ips=[self.context.node_ip], now=times.rfc3339(time.time())
        )
        problems = refusals(before, status)
        assert not problems, f"the status of {_label(pod)} cannot be written: {problems}\n{status}"
        self._pods[pod["metadata"]["uid"]] = {**before, "status": status}
        return status

    def container(self, pod: Pod, name: str = MAIN) -> ContainerStatus:
        """Return the status of one container; {} when there is none."""
        statuses = self.status(pod).get("containerStatuses") or []
        nothing: ContainerStatus = {}
        return next((item for item in statuses if item["name"] == name), nothing)

    def is_gone(self, pod: Pod) -> bool:
        """Tell whether a pod that was deleted is gone: absent, or all its containers have ended."""
        status = self.status(pod)
        everything = [*(status.get("containerStatuses") or ()), *(status.get("initContainerStatuses") or ())]
        over = status.get("phase") in {"Succeeded", "Failed"}
        return not status or (over and not any("running" in item.get("state", {}) for item in everything))

    # --- waiting

    def expect(self, predicate: Callable[[], T], message: Callable[[], str], more: float = 0.0) -> T:
        """Wait for `predicate` for as long as the profile allows, and `more` seconds."""
        return eventually(predicate, self.profile.timeout + more, message)

    def expect_phase(self, pod: Pod, phase: str) -> PodStatus:
        """Wait until `pod` has that phase; return its status."""
        self.expect(
            lambda: self.status(pod).get("phase") == phase,
            lambda: f"{_label(pod)} is not {phase}: {self._story(pod)}",
        )
        return self.status(pod)

    def expect_running(self, pod: Pod) -> None:
        """Wait until all containers of `pod` run."""
        self.expect(lambda: self._runs(pod), lambda: f"{_label(pod)} does not run: {self._story(pod)}")

    def expect_gone(self, pod: Pod, more: float = 0.0) -> None:
        """Wait until a deleted pod is gone."""
        self.expect(
            lambda: self.is_gone(pod), lambda: f"{_label(pod)} has not ended: {self._story(pod)}", more
        )

    def expect_nothing_remains(self, pod: Pod) -> None:
        """Wait until the backend has nothing of `pod`, where the profile can tell."""
        remains = self.profile.remains
        if remains is None:
            return
        left: list[str] = []

        def nothing() -> bool:
            left[:] = sorted(remains(pod["metadata"]["uid"]))
            return not left

        self.expect(nothing, lambda: f"left of {_label(pod)}: {left}")

    def _runs(self, pod: Pod) -> bool:
        status = self.status(pod)
        statuses = status.get("containerStatuses") or []
        return (
            status.get("phase") == "Running"
            and len(statuses) == len(pod["spec"]["containers"])
            and all("running" in item["state"] for item in statuses)
        )

    def _story(self, pod: Pod) -> str:
        events = [
            f"{reason}: {text}"
            for name, _, reason, text in self.context.events
            if name == pod["metadata"]["name"]
        ]
        return f"{self.find(pod)}; events: {events[-5:]}"

    # --- logs

    def logs(self, pod: Pod, container: str = MAIN, **options: Any) -> bytes:
        """Return a container's whole log; with `follow`, what comes until its end."""
        provider = self.need(KeepingLogs)
        with supported():
            stream = provider.container_logs(*reference(pod), container, LogOptions(**options))
            with contextlib.closing(stream):
                return b"".join(iter(stream.read, b""))

    def expect_log(self, pod: Pod, text: bytes) -> None:
        """Wait until `text` is in the log."""
        self.expect(lambda: text in self.logs(pod), lambda: f"no {text!r} in the log: {self.logs(pod)!r}")

    # --- ending

    def purge(self) -> None:
        """End everything, by the provider's own means or pod by pod; nothing may remain."""
        pods = list(self._pods.values())
        if isinstance(self.provider, Purging):
            self.provider.purge()
        else:
            for pod in pods:
                self.delete(pod, 0)
            for pod in pods:
                self.end(pod)
        for pod in pods:
            self.expect_nothing_remains(pod)
        self._pods.clear()
        self.context.api_pods = []


def reference(pod: Pod) -> tuple[str, str, str]:
    """Return what the methods that look into containers take."""
    metadata = pod["metadata"]
    return metadata["namespace"], metadata["name"], metadata["uid"]


def deleting(pod: Pod, grace: int) -> Pod:
    """Return `pod` as the agent hands it over for deletion."""
    metadata = {
        **pod["metadata"],
        "deletionTimestamp": times.rfc3339(time.time() + grace),
        "deletionGracePeriodSeconds": grace,
    }
    return cast("Pod", {**codec.copy(pod), "metadata": metadata})


@contextlib.contextmanager
def supported() -> Iterator[None]:
    """Skip the test when the provider says that it has no such ability."""
    try:
        yield
    except NotSupported as error:
        pytest.skip(f"the provider does not support it: {error}")


def _label(pod: Pod) -> str:
    metadata = pod["metadata"]
    return f"pod {metadata['name']} ({metadata['uid']})"
