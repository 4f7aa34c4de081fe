"""The calls to Azure Resource Manager that a node needs: container groups, logs, sessions, usage, metrics.

Paths and shapes: ACI REST API 2023-05-01 (Microsoft.ContainerInstance), Azure Monitor 2018-01-01 (metrics),
Microsoft.Network 2023-04-01 (subnets). Answers are dicts as they came.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from virtual_kubelet.errors import NotFound, Unavailable
from virtual_kubelet.objects import JsonObject
from virtual_kubelet.provider import TerminalSize
from virtual_kubelet.providers.azure import arm_errors
from virtual_kubelet.providers.azure.transport import Transport

__all__ = ["Client", "Session", "Written"]

METRICS_VERSION = "2018-01-01"
NETWORK_VERSION = "2023-04-01"
MOST_PAGES = 1000  # of a list: more are a loop


@dataclass(frozen=True)
class Written:
    """A create or update that ARM has taken: the group as it is now, and where its outcome will be told.

    `lost`: ARM's answer never came, so what it may have said about the outcome is not known.
    """

    group: JsonObject
    operation: str = ""
    lost: bool = False


@dataclass(frozen=True)
class Session:
    """Where an exec or attach session waits, and the password that opens it."""

    uri: str
    password: str = field(repr=False)


class Client:
    """Container groups of one resource group."""

    def __init__(
        self, transport: Transport, *, subscription: str, resource_group: str, region: str, version: str
    ) -> None:
        self._transport = transport
        self._subscription = f"/subscriptions/{quote(subscription, safe='')}"
        self._region = region
        self._version = {"api-version": version}
        self._groups = (
            f"{self._subscription}/resourceGroups/{quote(resource_group, safe='')}"
            "/providers/Microsoft.ContainerInstance/containerGroups"
        )

    def list_all(self, *, take: Callable[[], object] | None = None) -> list[JsonObject]:
        """Return all container groups of the resource group, page after page: whole, or an error.

        `take` is called before each page, to count it.
        """
        groups: list[JsonObject] = []
        path, query = self._groups, dict(self._version)
        seen = set()
        for _ in range(MOST_PAGES):
            if take is not None:
                take()
            page = self._page(path, query)
            groups.extend(group for group in page["value"] or () if isinstance(group, dict))
            link = page.get("nextLink")
            if not link:
                return groups
            if link in seen:
                break
            seen.add(link)
            path, query = link, {}
        raise Unavailable("GET container groups: the pages of the list do not end")

    def _page(self, path: str, query: Mapping[str, str]) -> JsonObject:
        try:
            answer = self._transport.send("GET", path, query, what="container groups", counted=True)
        except NotFound as error:
            # A list that is not there is not an empty one.
            raise Unavailable(str(error)) from error
        body = answer.body if isinstance(answer.body, dict) else {}
        # null is how some serializers write an empty array.
        if "value" not in body or not isinstance(body["value"], (list, type(None))):
            raise Unavailable("GET container groups: the answer is no list")
        return body

    def get(self, name: str, *, counted: bool = False) -> JsonObject | None:
        """Return a container group with its instance view; None where there is none."""
        try:
            answer = self._transport.send(
                "GET", self._group(name), self._version, what=f"container group {name}", counted=counted
            )
        except NotFound:
            return None
        return _object(answer.body, f"GET container group {name}")

    def put(self, name: str, group: JsonObject) -> Written:
        """Create or replace a container group; returns when ARM has taken it, not when it runs.

        Raises:
            NoAnswer: whether ARM took it has to be looked up.
            ProviderError: ARM does not take it; when it may pass, it is not to be asked at once again.
        """
        try:
            answer = self._transport.send(
                "PUT", self._group(name), self._version, group, what=f"container group {name}"
            )
        except NotFound as error:
            # No word about the group: what it should be made in, or of, is missing.
            raise Unavailable(str(error), retry_after=error.retry_after) from error
        body = answer.body if isinstance(answer.body, dict) else {}
        return Written(body, answer.operation)

    def patch_tags(self, name: str, tags: Mapping[str, str]) -> None:
        """Replace a container group's tags; its containers go on."""
        self._transport.send(
            "PATCH", self._group(name), self._version, {"tags": dict(tags)}, what=f"container group {name}"
        )

    def delete(self, name: str) -> bool:
        """Begin to delete a container group; return False where there is none."""
        try:
            answer = self._transport.send(
                "DELETE", self._group(name), self._version, what=f"container group {name}"
            )
        except NotFound:
            return False
        return answer.status != 204

    def stop(self, name: str) -> None:
        """Stop the containers of a group; it stays."""
        path = f"{self._group(name)}/stop"
        self._transport.send("POST", path, self._version, what=f"stop of container group {name}")

    def outcome(self, operation: str) -> str:
        """Return how a long-running operation failed, as `Code: message`; "" where it did not, or not yet.

        ARM tells it in two ways: an Azure-AsyncOperation address answers with a status and an error, a
        Location address with the refusal itself.
        """
        answer = self._transport.send("GET", operation, what="the outcome of an operation", refusals=True)
        body = answer.body if isinstance(answer.body, dict) else {}
        ended_badly = str(body.get("status", "")).lower() in {"failed", "canceled", "cancelled"}
        refused = answer.status >= 400 and answer.status != 404
        if not ended_badly and not refused:
            return ""
        code, message = arm_errors.parse(body)
        return ": ".join(word for word in (code, message) if word) or "Failed: Azure gives no reason"

    def logs(self, name: str, container: str, *, tail: int | None = None, timestamps: bool = False) -> str:
        """Return what a container wrote, at most the last 4 MB, or the last `tail` lines."""
        query = dict(self._version)
        if tail is not None:
            query["tail"] = str(tail)
        if timestamps:
            query["timestamps"] = "true"
        what = f"log of container {container} in container group {name}"
        answer = self._transport.send(
            "GET", f"{self._container(name, container)}/logs", query, what=what, vital=False
        )
        body = answer.body if isinstance(answer.body, dict) else {}
        return str(body.get("content") or "")

    def exec(self, name: str, container: str, command: str, size: TerminalSize) -> Session:
        """Start a process in a container."""
        body = {"command": command, "terminalSize": {"rows": size.height, "cols": size.width}}
        return self._session(name, container, "exec", body)

    def attach(self, name: str, container: str) -> Session:
        """Join a container's output."""
        return self._session(name, container, "attach", None)

    def usages(self) -> list[JsonObject]:
        """Return the subscription's quotas in the region, and what is used of them."""
        path = f"{self._subscription}/providers/Microsoft.ContainerInstance/locations/{self._region}/usages"
        answer = self._transport.send("GET", path, self._version, what="usages", vital=False)
        body = answer.body if isinstance(answer.body, dict) else {}
        return [item for item in body.get("value") or [] if isinstance(item, dict)]

    def metrics(self, name: str, timespan: str) -> JsonObject:
        """Return a group's CpuUsage (millicores) and MemoryUsage (bytes) by container, one point a minute."""
        query = {
            "api-version": METRICS_VERSION,
            "metricnames": "CpuUsage,MemoryUsage",
            "aggregation": "average",
            "interval": "PT1M",
            "timespan": timespan,
            "$filter": "containerName eq '*'",
        }
        path = f"{self._group(name)}/providers/microsoft.Insights/metrics"
        answer = self._transport.send(
            "GET", path, query, what=f"metrics of container group {name}", counted=True, vital=False
        )
        return _object(answer.body, f"GET metrics of container group {name}")

    def subnet(self, subnet: str) -> JsonObject | None:
        """Return a subnet by its resource id, or None."""
        query = {"api-version": NETWORK_VERSION}
        try:
            answer = self._transport.send("GET", subnet, query, what="subnet", vital=False)
        except NotFound:
            return None
        return _object(answer.body, "GET subnet")

    def put_subnet(self, subnet: str, body: JsonObject) -> JsonObject:
        """Create or change a subnet; return what it is then."""
        query = {"api-version": NETWORK_VERSION}
        answer = self._transport.send("PUT", subnet, query, body, what="subnet", vital=False)
        return answer.body if isinstance(answer.body, dict) else {}

    def close(self) -> None:
        """Wake what waits and refuse new calls."""
        self._transport.close()

    def _session(self, name: str, container: str, verb: str, body: Any) -> Session:
        what = f"{verb} in container {container} of container group {name}"
        path = f"{self._container(name, container)}/{verb}"
        answer = self._transport.send("POST", path, self._version, body, what=what)
        said = _object(answer.body, f"POST {what}")
        if not said.get("webSocketUri"):
            raise Unavailable(f"POST {what}: the answer has no webSocketUri")
        return Session(str(said["webSocketUri"]), str(said.get("password") or ""))

    def _group(self, name: str) -> str:
        return f"{self._groups}/{quote(name, safe='')}"

    def _container(self, name: str, container: str) -> str:
        return f"{self._group(name)}/containers/{quote(container, safe='')}"


def _object(body: Any, what: str) -> JsonObject:
    if not isinstance(body, dict):
        raise Unavailable(f"{what}: the answer is no object")
    return body
