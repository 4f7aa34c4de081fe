"""Writing the Node object: registering it, and the three patches that keep it as we wish."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, cast

from virtual_kubelet.errors import ApiAlreadyExists, ApiConflict, ApiForbidden
from virtual_kubelet.kube.client import Client
from virtual_kubelet.kube.resources import NODES
from virtual_kubelet.objects import JsonObject, Node
from virtual_kubelet.pure import node_object
from virtual_kubelet.runtime.threads import StopSignal

__all__ = ["NodeWriter"]

logger = logging.getLogger(__name__)

TRIES = 5
TIMEOUT = 10.0  # seconds for one request

Event = Callable[[Any, str, str, str], None]


class NodeWriter:
    """Brings one Node of the API server in line with what is wanted. For one thread at a time.

    Setting `cancel` ends a request that is under way, and all that come after it.
    """

    def __init__(self, client: Client, name: str, event: Event, *, cancel: StopSignal | None = None) -> None:
        self._client = client
        self._name = name
        self._event = event
        self._how: dict[str, Any] = {"limited": False, "timeout": TIMEOUT, "cancel": cancel}
        self._refused: set[str] = set()  # what our rights do not allow; said once each
        self._unmoved: JsonObject = {}
        """What remained of the last status patch after the server had taken it: not worth sending again."""

    def read(self) -> Node:
        """Return the node as it is now; raise `ApiNotFound` where there is none."""
        return cast("Node", self._client.get(NODES, self._name, **self._how))

    def register(self, wanted: Node) -> Node:
        """Create the node; return the one that is there where somebody was faster."""
        wanted = self._allowed(wanted)
        try:
            return self._create(wanted)
        except ApiAlreadyExists:
            return self.read()
        except ApiForbidden as error:
            if not self._give_up("NodeLabelsForbidden", wanted, error, labels=True):
                raise
        return self._create(self._allowed(wanted))

    def bring(self, current: Node, wanted: Node) -> Node:
        """Patch labels, annotations and spec where they differ; return the node as it is then."""
        current = self._bring_metadata(current, wanted)
        return self._bring_spec(current, wanted)

    def report(self, current: Node, wanted: Node, *, heartbeat: bool) -> Node | None:
        """Patch the status where it differs; return the answer, None when nothing was sent.

        With `heartbeat`, differences in heartbeat times count too.
        """
        patch = node_object.status_patch(current, wanted)
        if patch is None:
            return None
        news = node_object.significant(patch)
        if not heartbeat and (not news or news == self._unmoved):
            return None
        answer = self._patch(patch, subresource="status")
        rest = node_object.status_patch(answer, wanted)
        self._unmoved = node_object.significant(rest) if rest else {}
        return answer

    def _create(self, wanted: Node) -> Node:
        body = node_object.registration(wanted)
        return cast("Node", self._client.create(NODES, body, **self._how))

    def _bring_metadata(self, current: Node, wanted: Node) -> Node:
        patch = node_object.metadata_patch(current, self._allowed(wanted, current))
        if patch is None:
            return current
        try:
            return self._patch(patch)
        except ApiForbidden as error:
            if not self._give_up("NodeLabelsForbidden", wanted, error, labels=True):
                return current
        return self._bring_metadata(current, wanted)

    def _bring_spec(self, current: Node, wanted: Node) -> Node:
        if "spec" in self._refused:
            return current
        for attempt in range(1, TRIES + 1):
            patch = node_object.spec_patch(current, wanted)
            if patch is None:
                return current
            try:
                return self._patch(patch)
            except ApiConflict:
                if attempt == TRIES:
                    raise
                current = self.read()
            except ApiForbidden as error:
                self._give_up("NodeTaintsForbidden", wanted, error)
                return current
        return current

    def _patch(self, patch: JsonObject, subresource: str | None = None) -> Node:
        answer = self._client.patch(NODES, self._name, patch, subresource=subresource, **self._how)
        return cast("Node", answer)

    def _allowed(self, wanted: Node, current: Node | None = None) -> Node:
        """Return `wanted` with those labels that we were told not to touch as they are now."""
        if "labels" not in self._refused:
            return wanted
        held = (current["metadata"].get("labels") if current else None) or {}
        labels = {}
        for name, value in (wanted["metadata"].get("labels") or {}).items():
            if not node_object.forbidden_label(name):
                labels[name] = value
            elif name in held:
                labels[name] = held[name]
        return {**wanted, "metadata": {**wanted["metadata"], "labels": labels}}

    def _give_up(self, reason: str, node: Node, error: ApiForbidden, *, labels: bool = False) -> bool:
        """Go on without what our identity may not do; return False when that was known already."""
        what = "labels" if labels else "spec"
        if what in self._refused:
            return False
        self._refused.add(what)
        logger.warning("the node's %s cannot be kept as configured: %s", what, error)
        self._event(node, "Warning", reason, f"The node's {what} cannot be kept as configured: {error}")
        return True
