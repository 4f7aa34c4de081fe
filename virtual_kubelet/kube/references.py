"""The ConfigMaps and Secrets that this node's pods use, and the Services that their environment names.

A node may read a ConfigMap or Secret only by name, and only while a pod bound to it refers to it (the node
authorizer); so nothing is listed or watched across namespaces:

- read when somebody asks, and again when a new pod refers to it (the kubelet does the same: whoever changes a
  ConfigMap and then makes a pod means the new one);
- read again about once a minute while a running pod refers to it, by one thread, at most ten a second: with more than
  some six hundred of them the minute becomes longer;
- immutable ones are read once for each new pod, since one may be deleted and made again, and not once a minute;
- missing ones are looked for each second while a pod waits to start for them, so that it starts soon after they
  appear: with three of five reads at most, while others are due;
- those that lack a key are, too, where a container says so. Of a volume's key no status tells: whatever a pod uses
  that is Pending for some seconds, with no container begun, is read each second at first, each ten seconds later;
- forgotten when no pod refers to them any more.

Services come by one watch, trimmed to what the environment needs.
"""

from __future__ import annotations

import logging
import math
import random
import threading
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from virtual_kubelet.errors import ApiError, ApiForbidden, ApiNotFound, ApiUnavailable
from virtual_kubelet.kube.client import Client
from virtual_kubelet.kube.informer import Informer
from virtual_kubelet.kube.resources import CONFIG_MAPS, SECRETS, SERVICES, Resource
from virtual_kubelet.kube.store import Store, key_of
from virtual_kubelet.objects import ConfigMap, JsonObject, Pod, Secret, Service
from virtual_kubelet.pure.references import CONFIG_MAP, SECRET
from virtual_kubelet.pure.waiting_pods import has_begun, lacks_something, names, waits_for
from virtual_kubelet.pure.waiting_pods import key_of as reference_key
from virtual_kubelet.runtime.clock import SYSTEM, Clock
from virtual_kubelet.runtime.metrics import Metrics
from virtual_kubelet.runtime.periodic import Periodic
from virtual_kubelet.runtime.threads import Deadline

__all__ = ["References"]

logger = logging.getLogger(__name__)

INDEX = "references"
PERIOD = 60.0  # seconds between two reads of what is there
JITTER = 0.2
MAX_AGE = 3 * PERIOD  # seconds after which it is read for whoever asks, should the thread be behind
MISSING = 1.0  # seconds between two reads of what a pod waits for
GRACE = 2.0  # seconds for which nothing is suspected of holding up a pod
SLOWEST = 10.0  # seconds between two reads of what may hold up a pod
SLOWER = 0.2  # of the time for which a pod has waited: the pause to the next read
AWAY = 10.0  # seconds to the next try while the API server is away
TICK = 0.5
PACE = 5  # reads a tick
FOR_MISSING = 3  # of these for missing ones, while others are due
_RESOURCES = {CONFIG_MAP: CONFIG_MAPS, SECRET: SECRETS}


class _Entry:
    """What is known of one object. Fields are under the lock of `References`, but for `fetching`."""

    def __init__(self, resource: Resource, namespace: str, name: str) -> None:
        self.resource = resource
        self.namespace = namespace
        self.name = name
        self.fetching = threading.Lock()  # held by whoever asks the server
        self.begun = 0  # reads begun
        self.completed = 0  # number of the last read that has ended
        self.value: Any = None
        self.error: ApiError | None = None
        self.read_at = 0.0  # monotonic
        self.due = math.inf  # monotonic: when the thread looks at it; set by the first read
        self.stale = False  # a pod began to refer to it since the last read
        self.waited_for_since: float | None = (
            None  # monotonic: first look at which a pod may have been held up
        )

    @property
    def immutable(self) -> bool:
        return self.value is not None and bool(self.value.get("immutable"))

    def is_fresh(self, now: float) -> bool:
        """Tell whether whoever asks may have it without a read."""
        if not self.completed:
            return False
        if self.immutable:
            return not self.stale
        age = now - self.read_at
        if self.value is None:
            return age < MISSING and not self.stale
        return age < MAX_AGE and not self.stale


_Turn: TypeAlias = tuple[_Entry, str, int]  # its key, and the reads begun when it was found due


class References:
    """Reads what pods refer to; a service. `pods_store` gets an index called "references".

    With a `namespace`, services of that namespace are watched, and of others only `default/kubernetes` is read.
    """

    def __init__(
        self,
        client: Client,
        pods_store: Store,
        *,
        clock: Clock = SYSTEM,
        namespace: str = "",
        metrics: Metrics | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._client = client
        self._pods = pods_store
        self._clock = clock
        self._namespace = namespace
        self._chance = chance
        self._lock = threading.Lock()
        self._entries: dict[str, _Entry] = {}  # under the lock
        self._callbacks: list[Callable[[str], None]] = []  # under the lock
        self._services = Informer(
            client,
            SERVICES,
            namespace=namespace,
            transform=_trim,
            indexers={"namespace": lambda item: (item["metadata"].get("namespace", ""),)},
            clock=clock,
            metrics=metrics,
        )
        self._master = _Entry(SERVICES, "default", "kubernetes")
        self._warned = False  # of the services that may not be read; a race only warns twice
        self._periodic = Periodic(self._tick, TICK, name="references", clock=clock)
        pods_store.add_index(INDEX, names, self._referred, part="spec")

    def start(self) -> None:
        """Begin to watch services and to read again what is due."""
        self._services.start()
        self._periodic.start()

    def stop(self, deadline: Deadline) -> None:
        """End both."""
        self._periodic.stop(deadline)
        self._services.stop(deadline)

    def on_change(self, callback: Callable[[str], None]) -> None:
        """Call `callback(pod_key)` for each pod one of whose ConfigMaps or Secrets changed; must not block."""
        with self._lock:
            self._callbacks.append(callback)

    def config_map(self, namespace: str, name: str) -> ConfigMap | None:
        """Return a ConfigMap, None when it is not there; raise `ApiError` when that cannot be said."""
        value: ConfigMap | None = self._get(CONFIG_MAP, namespace, name)
        return value

    def secret(self, namespace: str, name: str) -> Secret | None:
        """Return a Secret, None when it is not there; raise `ApiError` when that cannot be said."""
        value: Secret | None = self._get(SECRET, namespace, name)
        return value

    def services(self, namespace: str) -> list[Service]:
        """Return the services of a namespace: name, clusterIP and ports.

        Raises `ApiUnavailable` until they are known. Where this node may not read them there are none.
        """
        if self._namespace and namespace != self._namespace:
            return self._master_service() if namespace == "default" else []
        if not self._services.synced:
            if not isinstance(self._services.last_error, ApiForbidden):
                raise ApiUnavailable("the services of the cluster are not known yet")
            self._warn(self._services.last_error)
        return self._services.store.by_index("namespace", namespace)

    def wait_synced(self, timeout: float | None = None) -> bool:
        """Wait until the services are known; tell whether they are."""
        return self._services.wait_synced(timeout)

    # -- reading --------------------------------------------------------------------------------------

    def _get(self, kind: str, namespace: str, name: str) -> Any:
        key = reference_key(kind, namespace, name)
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                entry = self._entries[key] = _Entry(_RESOURCES[kind], namespace, name)
            fresh = entry.is_fresh(self._clock.monotonic())
            asked = entry.begun
        if not fresh:
            self._read(entry, key, asked)
        return self._result(entry)

    def _result(self, entry: _Entry) -> Any:
        with self._lock:
            if entry.value is None and entry.error is not None:
                raise entry.error
            return entry.value

    def _read(self, entry: _Entry, key: str, asked: int) -> None:
        """Ask the server, unless another thread has begun to do so since `asked` and has the answer."""
        with entry.fetching:
            with self._lock:
                if entry.completed > asked:
                    return
                entry.begun += 1
                number = entry.begun
                entry.stale = False
                before, first = entry.value, entry.completed == 0
            value, error = self._fetch(entry)
            with self._lock:
                entry.completed = entry.begun
                entry.read_at = self._clock.monotonic()
                entry.error = error
                if error is None:
                    # After an error the old value stays in use: better than none for a pod that runs.
                    entry.value = value
        pods = self._users(key)
        pause = self._pause(key, value, error, pods)
        with self._lock:
            if entry.begun == number:  # else somebody has read later, and for more pods
                entry.due = self._clock.monotonic() + pause
        if error is None and not first and _differ(before, value):
            self._tell(pods)

    def _fetch(self, entry: _Entry) -> tuple[Any, ApiError | None]:
        try:
            value = self._client.get(entry.resource, entry.name, entry.namespace)
        except ApiNotFound:
            return None, None
        except ApiError as error:
            return None, error
        value.get("metadata", {}).pop("managedFields", None)
        return value, None

    def _pause(self, key: str, value: Any, error: ApiError | None, pods: Iterable[Pod]) -> float:
        """Return the seconds to the next read, after one that gave `value` or `error`."""
        # Forbidden is what the node authorizer says for a moment after a pod was bound, too.
        told = error is None or isinstance(error, ApiForbidden)
        if told and any(waits_for(pod, key) for pod in pods):
            return MISSING  # whether what is there will do for the pod is seen then
        if error is not None and error.retryable:
            return AWAY
        return self._period()

    def _period(self) -> float:
        return PERIOD * (1.0 + JITTER * (self._chance() - 0.5))

    # -- pods -----------------------------------------------------------------------------------------

    def _referred(self, key: str) -> None:
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None:
                entry.stale = True
                entry.waited_for_since = None  # the new pod's patience counts
                if entry.value is None:
                    entry.due = min(entry.due, self._clock.monotonic() + MISSING)

    def _users(self, key: str) -> list[Pod]:
        pods: list[Pod] = self._pods.by_index(INDEX, key)
        return [pod for pod in pods if pod.get("status", {}).get("phase") not in {"Succeeded", "Failed"}]

    def _tell(self, pods: Iterable[Pod]) -> None:
        with self._lock:
            callbacks = [*self._callbacks]
        for pod in pods:
            for callback in callbacks:
                try:
                    callback(key_of(pod))
                except Exception:
                    logger.exception("a callback for a changed reference failed")

    # -- the thread -----------------------------------------------------------------------------------

    def _tick(self) -> None:
        now = self._clock.monotonic()
        with self._lock:
            due = [
                (entry.due, key, entry.begun, entry.value is None, entry)
                for key, entry in self._entries.items()
                if entry.due <= now
            ]
        missing: list[_Turn] = []
        others: list[_Turn] = []
        for _, key, begun, is_missing, entry in sorted(due, key=lambda each: each[:2]):
            users = self._users(key)
            if not users:
                self._drop(key, entry)
            elif not self._put_off(entry, key, users, now):
                (missing if is_missing else others).append((entry, key, begun))
        for entry, key, begun in _fair(missing, others):
            self._read(entry, key, begun)

    def _put_off(self, entry: _Entry, key: str, users: list[Pod], now: float) -> bool:
        """Put off what is there and need not be read again yet; tell whether it was."""
        waiting = [pod for pod in users if waits_for(pod, key)]
        with self._lock:
            pause = _patience(entry, waiting, now)
            if entry.value is None or entry.error is not None or now - entry.read_at >= pause:
                return False
            if waiting:
                entry.due = now + MISSING  # a look at the pods, not a read
            else:
                entry.due = self._period() + (now if entry.immutable else entry.read_at)
            return True

    def _drop(self, key: str, entry: _Entry) -> None:
        with self._lock:
            # Somebody may be reading it for a pod that the store does not hold yet.
            if self._clock.monotonic() - entry.read_at >= MISSING and not entry.fetching.locked():
                self._entries.pop(key, None)

    # -- services -------------------------------------------------------------------------------------

    def _master_service(self) -> list[Service]:
        entry = self._master
        with self._lock:
            fresh = entry.completed > 0 and self._clock.monotonic() - entry.read_at < PERIOD
            asked = entry.begun
        if not fresh:
            self._read(entry, "", asked)
        try:
            value = self._result(entry)
        except ApiForbidden as error:
            self._warn(error)
            return []
        return [_trim(value)] if value is not None else []  # type: ignore[list-item] # trimmed to this shape

    def _warn(self, error: ApiError | None) -> None:
        if not self._warned:
            self._warned = True
            logger.warning("pods get no variables for services, which this node may not read: %s", error)


def _patience(entry: _Entry, waiting: list[Pod], now: float) -> float:
    """Return the least seconds between two reads of what is there; notes since when a pod may be held up."""
    if all(has_begun(pod) for pod in waiting):
        entry.waited_for_since = None
    elif entry.waited_for_since is None:
        entry.waited_for_since = now
    if any(lacks_something(pod) for pod in waiting):
        return MISSING
    waited = 0.0 if entry.waited_for_since is None else now - entry.waited_for_since
    if waited >= GRACE:
        return min(max(MISSING, SLOWER * waited), SLOWEST)
    return math.inf if entry.immutable else PERIOD * (1.0 - JITTER / 2)


def _fair(missing: list[_Turn], others: list[_Turn]) -> list[_Turn]:
    """Return whose turn it is, of those in line: missing ones first, but never all of them before the others."""
    first = missing[: max(FOR_MISSING, PACE - len(others))]
    return [*first, *others][:PACE]


def _differ(before: Any, after: Any) -> bool:
    if before is None or after is None:
        return before is not after
    return bool(before["metadata"].get("resourceVersion") != after["metadata"].get("resourceVersion"))


def _trim(service: JsonObject) -> JsonObject:
    """Keep what `{NAME}_SERVICE_HOST` and its kin are made from."""
    metadata, spec = service["metadata"], service.get("spec") or {}
    kept = ("name", "namespace", "uid", "resourceVersion")
    ports = [
        {key: port[key] for key in ("name", "port", "protocol") if key in port}
        for port in spec.get("ports") or ()
    ]
    return {
        "metadata": {key: metadata[key] for key in kept if key in metadata},
        "spec": {"clusterIP": spec.get("clusterIP", ""), "ports": ports},
    }
