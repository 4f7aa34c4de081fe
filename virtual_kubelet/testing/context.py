"""A `PodContext` without an API server: objects in dicts, events in a list."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Mapping

from virtual_kubelet.errors import Unavailable
from virtual_kubelet.objects import Container, JsonObject, Node, Pod
from virtual_kubelet.provider import File
from virtual_kubelet.pure.expansion import expand

__all__ = ["LocalContext"]

Values = Mapping[str, str]


class LocalContext:
    """What a test writes into it is what the provider finds.

    Understood are `secretKeyRef`, `configMapKeyRef` and `status.podIP` in environments, and configMap, secret and
    downwardAPI (labels) volumes without items.
    """

    def __init__(self, *, node_ip: str = "127.0.0.1", state_dir: str = "", node_name: str = "node-1") -> None:
        self.node_name = node_name
        self.cluster_id = "cluster-1"
        self.state_dir = state_dir
        self.namespace = ""
        self.node_ip = node_ip
        self.cluster_domain = "cluster.local"
        self.cluster_dns: tuple[str, ...] = ()
        self.config_maps: dict[str, Values] = {}  # name -> {key: text}
        self.secrets: dict[str, Values] = {}
        self.api_node: Node | None = None
        self.api_pods: list[Pod] = []
        self.events: list[tuple[str, str, str, str]] = []  # pod's name, type, reason, message
        self.callbacks: list[Callable[[str, str], None]] = []
        self._lock = threading.Lock()  # guards events

    def environment(self, pod: Pod, container: Container, pod_ips: list[str]) -> dict[str, str]:
        """Return the container's environment."""
        values: dict[str, str] = {}
        for item in container.get("env") or ():
            source: JsonObject = dict(item.get("valueFrom") or {})
            if "secretKeyRef" in source:
                values[item["name"]] = _value(self.secrets, source["secretKeyRef"])
            elif "configMapKeyRef" in source:
                values[item["name"]] = _value(self.config_maps, source["configMapKeyRef"])
            elif source.get("fieldRef", {}).get("fieldPath") == "status.podIP":
                values[item["name"]] = pod_ips[0] if pod_ips else ""
            else:
                values[item["name"]] = expand(item.get("value", ""), values)
        return values

    def secret_names(self, pod: Pod, container: Container) -> frozenset[str]:
        """Return the variables that come from secrets, and those that are called SECRET."""
        return frozenset(
            item["name"]
            for item in container.get("env") or ()
            if "secretKeyRef" in (item.get("valueFrom") or {}) or item["name"].startswith("SECRET")
        )

    def files(self, pod: Pod, volume: JsonObject) -> Mapping[str, File]:
        """Return a volume's content; without it, an event and `Unavailable`."""
        try:
            return self._content(pod, volume)
        except Unavailable as error:
            self.event(pod, "Warning", "FailedMount", str(error))
            raise

    def pull_secrets(self, pod: Pod) -> list[JsonObject]:
        """Return none."""
        return []

    def token(self, pod: Pod, audience: str, expiration_seconds: int) -> str:
        """Return a token that is the audience, encoded."""
        return base64.b64encode(audience.encode()).decode()

    def event(self, pod: Pod, event_type: str, reason: str, message: str) -> None:
        """Keep an event."""
        with self._lock:
            self.events.append((pod["metadata"]["name"], event_type, reason, message))

    def reasons(self, pod: str = "web") -> list[str]:
        """Return the reasons of a pod's events, oldest first."""
        with self._lock:
            return [reason for name, _, reason, _ in self.events if name == pod]

    def node(self) -> Node | None:
        """Return what the test says is the Node."""
        return self.api_node

    def pods(self) -> list[Pod]:
        """Return what the test says is bound to the node."""
        return self.api_pods

    def on_change(self, callback: Callable[[str, str], None]) -> None:
        """Keep the callback for `change`."""
        self.callbacks.append(callback)

    def change(self, namespace: str, name: str) -> None:
        """Say that what a pod refers to has changed."""
        for callback in self.callbacks:
            callback(namespace, name)

    def _content(self, pod: Pod, volume: JsonObject) -> dict[str, File]:
        if "configMap" in volume:
            return _files(self.config_maps, volume["configMap"]["name"], 0o644)
        if "secret" in volume:
            return _files(self.secrets, volume["secret"]["secretName"], 0o600)
        if "downwardAPI" in volume:
            labels = pod["metadata"].get("labels") or {}
            text = "\n".join(f'{key}="{value}"' for key, value in sorted(labels.items()))
            return {item["path"]: File(text.encode(), 0o644) for item in volume["downwardAPI"]["items"]}
        raise Unavailable("no tokens here")


def _object(objects: Mapping[str, Values], name: str) -> Values:
    found = objects.get(name)
    if found is None:
        raise Unavailable(f'"{name}" not found')
    return found


def _value(objects: Mapping[str, Values], reference: JsonObject) -> str:
    return _object(objects, reference["name"])[reference["key"]]


def _files(objects: Mapping[str, Values], name: str, mode: int) -> dict[str, File]:
    return {key: File(text.encode(), mode) for key, text in _object(objects, name).items()}
