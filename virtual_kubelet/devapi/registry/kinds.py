"""The registry: which resources exist, under which paths, with which verbs and rules."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from virtual_kubelet.devapi.registry.strategy import Strategy, UpdateRules
from virtual_kubelet.objects import JsonObject

__all__ = ["ALL_VERBS", "Convert", "Kind", "Kinds", "Subresource"]

ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


Convert = Callable[[JsonObject], JsonObject]


@dataclass(frozen=True)
class Subresource:
    """A path below an object. With `rules` it is an aspect of the object; otherwise it has a handler."""

    name: str
    verbs: tuple[str, ...]
    rules: UpdateRules | None = None
    kind: str = ""  # the kind of its bodies; "" means the parent's
    group: str = ""
    version: str = ""  # with `kind`, where it differs from the parent's


@dataclass(frozen=True)
class Kind:
    """One resource type in one version of one group."""

    group: str
    version: str
    plural: str
    kind: str
    strategy: Strategy = field(default_factory=Strategy)
    namespaced: bool = True
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ALL_VERBS
    subresources: tuple[Subresource, ...] = ()
    bucket: str = ""
    """Where the storage keeps it; "" means under its own name. Two views of the same objects share one."""
    outward: Convert | None = None
    """From the stored form to this kind's, where it is but a view of another."""
    inward: Convert | None = None
    """And back."""

    @property
    def singular(self) -> str:
        """The kind in lower case."""
        return self.kind.lower()

    @property
    def api_version(self) -> str:
        """`v1`, or `coordination.k8s.io/v1`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def resource(self) -> str:
        """The plural with its group, as error messages have it: `leases.coordination.k8s.io`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def qualified_kind(self) -> str:
        """The kind with its group, as validation errors have it: `Lease.coordination.k8s.io`."""
        return f"{self.kind}.{self.group}" if self.group else self.kind

    @property
    def stored(self) -> str:
        """The storage's bucket."""
        return self.bucket or self.resource

    @property
    def type_meta(self) -> bytes:
        """The opening of an encoded object: brace, kind and apiVersion."""
        return f'{{"kind":"{self.kind}","apiVersion":"{self.api_version}",'.encode()

    def subresource(self, name: str) -> Subresource | None:
        """Return the subresource of that name."""
        return next((each for each in self.subresources if each.name == name), None)


class Kinds:
    """All kinds, by path and by name."""

    def __init__(self, kinds: Iterable[Kind]) -> None:
        self._all = tuple(kinds)
        self._by_path: Mapping[tuple[str, str, str], Kind] = {
            (kind.group, kind.version, kind.plural): kind for kind in self._all
        }

    def __iter__(self) -> Iterator[Kind]:
        """Go through them in discovery order."""
        return iter(self._all)

    def find(self, group: str, version: str, plural: str) -> Kind | None:
        """Return the kind that a path names."""
        return self._by_path.get((group, version, plural))

    def groups(self) -> dict[str, list[str]]:
        """Return the versions of each group, in discovery order."""
        found: dict[str, list[str]] = {}
        for kind in self._all:
            versions = found.setdefault(kind.group, [])
            if kind.version not in versions:
                versions.append(kind.version)
        return found

    def of_version(self, group: str, version: str) -> list[Kind]:
        """Return the kinds of one group and version."""
        return [kind for kind in self._all if (kind.group, kind.version) == (group, version)]
