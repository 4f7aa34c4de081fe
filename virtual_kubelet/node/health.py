"""What /healthz and /readyz ask."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from virtual_kubelet.kube.informer import Informer
from virtual_kubelet.node.api_gate import ApiGate
from virtual_kubelet.node.node_controller import NodeController
from virtual_kubelet.node.pods import Pods

__all__ = ["Check", "Health", "first_problem", "passes"]

Check: TypeAlias = "Callable[[], str | None]"
"""Raises `RuntimeError` with the reason when something is wrong."""

STUCK = 300.0  # seconds in one provider call, after which a worker is given up
SHOWN = 5  # calls named in one answer


class Health:
    """The state of the agent in a few words. No check waits for anything."""

    def __init__(
        self, gate: ApiGate, informer: Informer, pods: Pods, node: NodeController, *, workers: int
    ) -> None:
        self._gate = gate
        self._informer = informer
        self._pods = pods
        self._node = node
        self._workers = workers

    def live(self) -> Mapping[str, Check]:
        """Return the checks of /healthz: what only a restart would cure."""
        return {"workers": self._check_workers}

    def ready(self) -> Mapping[str, Check]:
        """Return the checks of /readyz."""
        return {
            "api-server": self._check_api_server,
            "provider": self._check_provider,
            "provider-calls": self._check_calls,
            "node": self._check_node,
        }

    def _check_workers(self) -> str | None:
        stuck = self._pods.calls.slow(STUCK)
        if len(stuck) >= self._workers:
            raise RuntimeError(f"every worker waits for the provider: {_some(stuck)}")
        return None

    def _check_api_server(self) -> str | None:
        if not self._gate.open:
            raise RuntimeError("the API server has not answered yet")
        error = self._informer.last_error
        if error is not None:
            raise RuntimeError(str(error))
        if not self._informer.synced:
            raise RuntimeError("the pods have not been listed yet")
        return None

    def _check_provider(self) -> str | None:
        snapshot = self._pods.snapshot
        if snapshot.failure:
            raise RuntimeError(snapshot.failure)
        if not snapshot.complete:
            raise RuntimeError("the provider has not listed its pods yet")
        return None

    def _check_calls(self) -> str | None:
        slow = self._pods.calls.slow()
        if slow:
            raise RuntimeError(_some(slow))
        return None

    def _check_node(self) -> str | None:
        if not self._node.ready:
            raise RuntimeError(self._node.problem or "the node is not Ready")
        return None


def passes(checks: Mapping[str, Check]) -> bool:
    """Tell whether none of the checks raises."""
    return not first_problem(checks)


def first_problem(checks: Mapping[str, Check]) -> str:
    """Return why the first check that fails does so, in one line; "" when none fails."""
    for name, check in checks.items():
        try:
            check()
        except RuntimeError as error:
            return f"{name}: {' '.join(str(error).split()) or 'failed'}"
    return ""


def _some(lines: list[str]) -> str:
    more = f" and {len(lines) - SHOWN} more" if len(lines) > SHOWN else ""
    return "; ".join(lines[:SHOWN]) + more
