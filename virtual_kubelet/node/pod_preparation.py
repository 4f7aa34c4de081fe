"""Making the pod that a provider gets from the one that the API server has."""

from __future__ import annotations

from collections.abc import Callable

from virtual_kubelet import codec
from virtual_kubelet.errors import InvalidInput
from virtual_kubelet.node.pod_launch import Incomplete
from virtual_kubelet.objects import Pod
from virtual_kubelet.pure.environment import Facts, Lookups, resolve_pod
from virtual_kubelet.pure.problems import Problem

__all__ = ["PodPreparation"]


class PodPreparation:
    """Resolves environments, and says in events what cannot be had; a `pod_launch.Prepare`."""

    def __init__(
        self, lookups: Lookups, facts: Callable[[], Facts], event: Callable[[Pod, str, str, str], None]
    ) -> None:
        self._lookups = lookups
        self._facts = facts
        self._event = event

    def __call__(self, pod: Pod, said: set[str]) -> Pod:
        """Return a copy of `pod` with every environment resolved; see `Prepare`."""
        resolved = resolve_pod(pod, self._lookups, self._facts())
        for problem in dict.fromkeys(resolved.problems):
            self._say(pod, problem, said)
        blocking = resolved.blocking
        if blocking:
            final = next((problem for problem in blocking if problem.final), None)
            if final is not None:
                raise InvalidInput(final.text)
            raise Incomplete(blocking[0].text, container=blocking[0].container)
        handed: Pod = codec.copy(resolved.pod)
        return handed

    def _say(self, pod: Pod, problem: Problem, said: set[str]) -> None:
        """Record an event: each time for what keeps the pod waiting, once for what is left out."""
        if not problem.blocking:
            if problem.message in said:
                return
            said.add(problem.message)
        self._event(pod, "Warning", problem.reason, problem.message)
