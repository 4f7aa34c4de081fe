"""The environment of one container, made variable by variable."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from virtual_kubelet.objects import Container, EnvFromSource, EnvVar, JsonObject, Pod
from virtual_kubelet.pure import names
from virtual_kubelet.pure.downward import Facts, field_value, resource_value
from virtual_kubelet.pure.expansion import expand, names_in
from virtual_kubelet.pure.problems import Problem
from virtual_kubelet.pure.references import CONFIG_MAP, SECRET
from virtual_kubelet.pure.sources import Source

__all__ = ["Environment", "EnvironmentBuilder", "PodSources"]


class PodSources(Protocol):
    """What the containers of one pod share."""

    pod: Pod
    facts: Facts

    def read(self, kind: str, reference: JsonObject, *, variable: str, container: str) -> Source | Problem:
        """Return the ConfigMap or Secret that a reference names."""

    def services(self) -> tuple[Mapping[str, str], list[Problem]]:
        """Return the variables of services, and what kept us from knowing them all."""


@dataclass(frozen=True)
class Environment:
    """The environment of one container."""

    container: str
    """The container's name."""

    variables: list[EnvVar]
    """Each name once: `{"name", "value"}`, or as the pod writes it where it is not known yet."""

    values: Mapping[str, str]
    """What is known, by name."""

    secrets: frozenset[str]
    """The names of those whose value came from a Secret, or holds one that did."""

    deferred: frozenset[str]
    """The names of those that are not known yet."""

    problems: tuple[Problem, ...]

    @property
    def blocking(self) -> tuple[Problem, ...]:
        """The problems that keep the container from starting."""
        return tuple(problem for problem in self.problems if problem.blocking)


_TITLES: Final = {CONFIG_MAP: ("ConfigMap", "configmap"), SECRET: ("Secret", "secret")}


class EnvironmentBuilder:
    """Makes the environment of one container, one variable after the other."""

    def __init__(self, sources: PodSources, container: Container) -> None:
        self._sources = sources
        self._pod = sources.pod
        self._container = container
        self._name = container.get("name", "")
        self._values: dict[str, str] = {}
        self._deferred: dict[str, EnvVar] = {}
        self._secrets: set[str] = set()
        self._order: dict[str, None] = {}
        self._problems: list[Problem] = []

    def build(self) -> Environment:
        """Return the environment; to be called once."""
        services, problems = self._sources.services()
        self._problems += problems
        for name, value in services.items():
            self._set(name, value)
        for source in self._container.get("envFrom") or ():
            self._take_all(source)
        for variable in self._container.get("env") or ():
            self._take(variable)
        return Environment(
            container=self._name,
            variables=[
                self._deferred.get(name) or {"name": name, "value": self._values[name]}
                for name in self._order
            ],
            values=self._values,
            secrets=frozenset(self._secrets),
            deferred=frozenset(self._deferred),
            problems=tuple(self._problems),
        )

    # --- envFrom

    def _take_all(self, source: EnvFromSource) -> None:
        for kind, reference in ((CONFIG_MAP, source.get("configMapRef")), (SECRET, source.get("secretRef"))):
            if reference is not None:
                found = self._sources.read(kind, reference, variable="", container=self._name)
                if isinstance(found, Problem):
                    self._problems.append(found)
                else:
                    self._take_keys(kind, reference.get("name", ""), found, source.get("prefix") or "")

    def _take_keys(self, kind: str, name: str, source: Source, prefix: str) -> None:
        bad_names, bad_values = [], []
        for key in source.keys():  # noqa: SIM118  # not a dict
            variable = prefix + key
            if names.env_name(variable):
                bad_names.append(variable)
                continue
            try:
                value = source.text(key)
            except ValueError:
                bad_values.append(variable)
            else:
                self._set(variable, value or "", secret=source.secret)
        word = _TITLES[kind][1]
        whole = f"{word} {self._pod['metadata']['namespace']}/{name}"
        if bad_names:
            skipped = f"keys [{', '.join(sorted(bad_names))}] from {whole} were skipped"
            text = f"{skipped} since they are invalid as environment variable names"
            self._problem("InvalidEnvironmentVariableNames", text, blocking=False)
        if bad_values:
            text = f"keys [{', '.join(bad_values)}] from {whole} were skipped since their values are not text"
            self._problem("InvalidEnvironmentVariableValues", text, blocking=False)

    # --- env

    def _take(self, variable: EnvVar) -> None:
        name = variable["name"]
        text = variable.get("value")
        value_from = variable.get("valueFrom")
        if text or not value_from:
            self._take_text(variable, text or "")
            return
        for kind, take in self._takers().items():
            selector = value_from.get(kind)
            if selector is not None:
                take(name, selector, variable)
                return
        self._refuse(f'environment variable "{name}": {", ".join(value_from)} is not supported')

    def _takers(self) -> Mapping[str, Callable[[str, JsonObject, EnvVar], None]]:
        return {
            "configMapKeyRef": lambda name, selector, _: self._take_key(CONFIG_MAP, name, selector),
            "secretKeyRef": lambda name, selector, _: self._take_key(SECRET, name, selector),
            "fieldRef": self._take_field,
            "resourceFieldRef": lambda name, selector, _: self._take_resource(name, selector),
        }

    def _take_text(self, variable: EnvVar, text: str) -> None:
        name, used = variable["name"], names_in(text)
        if used & self._deferred.keys():
            self._defer(name, variable)
        else:
            self._set(name, expand(text, self._values), secret=bool(used & self._secrets))

    def _take_key(self, kind: str, name: str, selector: JsonObject) -> None:
        found = self._sources.read(kind, selector, variable=name, container=self._name)
        if isinstance(found, Problem):
            self._problems.append(found)
            return
        key, (title, word) = selector.get("key", ""), _TITLES[kind]
        whole = f'{word} "{selector.get("name", "")}"'
        try:
            value = found.text(key)
        except ValueError as error:
            self._refuse(f'environment variable "{name}": key "{key}" in {whole}: {error}', final=False)
            return
        if value is not None:
            self._set(name, value, secret=found.secret)
            return
        missing = f'key "{key}" does not exist in {whole}'
        if selector.get("optional"):
            skipping = f'skipping optional envvar "{name}": {missing}'
            self._problem(f"Optional{title}KeyNotFound", skipping, blocking=False)
        else:
            pod = self._pod["metadata"]["name"]
            error_text = f'{whole} doesn\'t contain the "{key}" key required by pod {pod}'
            self._problem(f"Mandatory{title}KeyNotFound", missing, blocking=True, error=error_text)

    def _take_field(self, name: str, selector: JsonObject, variable: EnvVar) -> None:
        try:
            value = field_value(self._pod, selector, self._sources.facts)
        except ValueError as error:
            self._refuse(f'environment variable "{name}": {error}')
            return
        if value is None:
            self._defer(name, variable)
        else:
            self._set(name, value)

    def _take_resource(self, name: str, selector: JsonObject) -> None:
        try:
            self._set(name, resource_value(self._pod, self._container, selector, self._sources.facts))
        except ValueError as error:
            self._refuse(f'environment variable "{name}": {error}')

    # --- results

    def _set(self, name: str, value: str, *, secret: bool = False) -> None:
        self._forget(name)
        self._values[name] = value
        if secret:
            self._secrets.add(name)

    def _defer(self, name: str, variable: EnvVar) -> None:
        self._forget(name)
        self._deferred[name] = variable

    def _forget(self, name: str) -> None:
        """Make room: a name that comes again takes its new place."""
        self._values.pop(name, None)
        self._deferred.pop(name, None)
        self._secrets.discard(name)
        self._order.pop(name, None)
        self._order[name] = None

    def _problem(self, reason: str, message: str, *, blocking: bool, error: str = "") -> None:
        self._problems.append(Problem(reason, message, blocking, error=error, container=self._name))

    def _refuse(self, text: str, *, final: bool = True) -> None:
        self._problems.append(
            Problem("Failed", f"Error: {text}", blocking=True, final=final, error=text, container=self._name)
        )
