"""What the node offers: as configured, else the region's quotas, else what the Go provider offered."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable

from virtual_kubelet.errors import ProviderError
from virtual_kubelet.objects import JsonObject
from virtual_kubelet.providers.azure.client import Client
from virtual_kubelet.providers.azure.config import AzureConfig
from virtual_kubelet.providers.azure.shapes import mapping
from virtual_kubelet.runtime.clock import SYSTEM, Clock

__all__ = ["Capacity"]

logger = logging.getLogger(__name__)

DEFAULTS = {"cpu": "20", "memory": "100Gi", "pods": "20"}
REFRESH = 600.0  # seconds between two looks at the quotas
RETRY = 60.0  # seconds after a look that failed
GIB_PER_CORE = 4  # a quota is in cores; groups may have up to four times as many GiB

# Names of quotas in the answer of locations/{region}/usages.
_GROUPS, _CORES = "containergroups", "standardcores"


class Capacity:
    """The node's capacity; asked for often, read seldom."""

    def __init__(self, config: AzureConfig, client: Client, *, clock: Clock = SYSTEM) -> None:
        self._config = config
        self._client = client
        self._clock = clock
        self._lock = threading.Lock()  # guards what follows
        self._quotas: dict[str, str] = {}
        self._due = 0.0
        self._first = True

    def get(self) -> dict[str, str]:
        """Return resource quantities; never fails."""
        written = {"cpu": self._config.cpu, "memory": self._config.memory, "pods": self._config.pods}
        given = {name: value for name, value in written.items() if value}
        quotas = self._read() if len(given) < len(written) else {}
        return {**DEFAULTS, **quotas, **given, **self._config.others}

    def _read(self) -> dict[str, str]:
        now = self._clock.monotonic()
        with self._lock:
            if not self._first and now < self._due:
                return self._quotas
            self._first, self._due = False, now + RETRY  # others go on with what is known
        try:
            quotas = from_usages(self._client.usages())
        except ProviderError as error:
            # Reading a subscription's usage is a right that a principal of one resource group has not.
            logger.info("the region's quotas cannot be read, set CPU, Memory and Pods instead: %s", error)
            with self._lock:
                return self._quotas
        with self._lock:
            self._quotas, self._due = quotas, now + REFRESH
            return quotas


def from_usages(usages: Iterable[JsonObject]) -> dict[str, str]:
    """Return the capacity that a region's quotas allow; only what they tell."""
    limits = {}
    for usage in usages:
        name = str(mapping(usage.get("name")).get("value") or "").lower()
        if isinstance(usage.get("limit"), (int, float)) and usage["limit"] > 0:
            limits[name] = int(usage["limit"])
    found = {}
    if _GROUPS in limits:
        found["pods"] = str(limits[_GROUPS])
    if _CORES in limits:
        found["cpu"] = str(limits[_CORES])
        found["memory"] = f"{limits[_CORES] * GIB_PER_CORE}Gi"
    return found
