"""The environment of a container: every source that the kubelet knows, resolved.

In order, what is later wins: variables of services, `envFrom`, `env`. What cannot be had is not an exception
but a `Problem` among the results: an event to record, and whether the pod may start without it. What is known
only when the pod has started (its address) stays as it is written, and so does what refers to that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from virtual_kubelet.errors import ApiError
from virtual_kubelet.objects import Container, JsonObject, Pod
from virtual_kubelet.pure.container_environment import Environment, EnvironmentBuilder
from virtual_kubelet.pure.downward import Facts
from virtual_kubelet.pure.problems import Problem
from virtual_kubelet.pure.service_variables import service_namespaces, service_variables
from virtual_kubelet.pure.sources import Lookups, Source, read

__all__ = ["Environment", "EnvironmentResolver", "Facts", "Lookups", "ResolvedPod", "resolve_pod"]


@dataclass(frozen=True)
class ResolvedPod:
    """A pod as a provider gets it."""

    pod: Pod
    """A copy with each container's `env` resolved and no `envFrom`; the rest is shared and read-only."""

    environments: tuple[Environment, ...]
    """Of the init, app and ephemeral containers."""

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Those of all containers."""
        return tuple(problem for environment in self.environments for problem in environment.problems)

    @property
    def blocking(self) -> tuple[Problem, ...]:
        """The problems that keep the pod from starting."""
        return tuple(problem for problem in self.problems if problem.blocking)


def resolve_pod(pod: Pod, lookups: Lookups, facts: Facts) -> ResolvedPod:
    """Return `pod` with the environments of all its containers resolved.

    `pod`, which is not changed, must be as the API server has it: in one that was resolved before, a value that
    holds a `$(NAME)` of its own would be taken for a reference.
    """
    resolver = EnvironmentResolver(pod, lookups, facts)
    environments: list[Environment] = []

    def resolved(containers: Iterable[Container]) -> list[Container]:
        copies = []
        for container in containers:
            environment = resolver.resolve(container)
            environments.append(environment)
            copy = container.copy()
            copy.pop("envFrom", None)
            copy["env"] = environment.variables
            copies.append(copy)
        return copies

    copied = pod.copy()
    spec = copied["spec"] = pod["spec"].copy()
    if spec.get("initContainers"):
        spec["initContainers"] = resolved(spec["initContainers"])
    spec["containers"] = resolved(spec.get("containers") or ())
    if spec.get("ephemeralContainers"):
        spec["ephemeralContainers"] = resolved(spec["ephemeralContainers"])
    return ResolvedPod(copied, tuple(environments))


class EnvironmentResolver:
    """Resolves the environments of one pod's containers, and looks each object up once."""

    def __init__(self, pod: Pod, lookups: Lookups, facts: Facts) -> None:
        self.pod = pod
        self.facts = facts
        self._lookups = lookups
        self._sources: dict[tuple[str, str], Source] = {}
        self._services: dict[str, str] | None = None
        self._service_problems: list[Problem] = []

    def resolve(self, container: Container) -> Environment:
        """Return the environment of one of the pod's containers."""
        return EnvironmentBuilder(self, container).build()

    def read(self, kind: str, reference: JsonObject, *, variable: str, container: str) -> Source | Problem:
        """Return what a reference names."""
        name = reference.get("name") or ""
        source = self._sources.get((kind, name))
        if source is not None:
            return source
        found = read(
            self._lookups,
            kind,
            self.pod["metadata"]["namespace"],
            name,
            optional=bool(reference.get("optional")),
            variable=variable,
            container=container,
        )
        if isinstance(found, Source):
            self._sources[kind, name] = found
        return found

    def services(self) -> tuple[Mapping[str, str], list[Problem]]:
        """Return the variables of services, and what kept us from knowing them all."""
        if self._services is None:
            services = []
            for namespace in service_namespaces(self.pod):
                try:
                    services += list(self._lookups.services(namespace))
                except ApiError as error:
                    text = f'failed to read services of namespace "{namespace}"'
                    self._service_problems.append(
                        Problem("FailedToReadServices", text, error.retryable, error=f"{text}: {error}")
                    )
            self._services = service_variables(self.pod, services)
        return self._services, self._service_problems
