"""What the suite has to know of a provider: how it is made, what its containers are, what it leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, cast

from virtual_kubelet.objects import Container
from virtual_kubelet.provider import Provider, ProviderConfig

__all__ = ["ConformanceProfile", "Fields"]

Fields: TypeAlias = Mapping[str, Any]
"""A part of a pod's spec, as Kubernetes writes it."""

ENDS_WHEN_TOLD = "trap 'exit 0' TERM; sleep 1000000 & wait"
WRITES = "for n in 1 2 3; do echo line $n; done; " + ENDS_WHEN_TOLD  # no more than tests wait for


@dataclass(frozen=True)
class ConformanceProfile:
    """A provider under test.

    Where containers run commands, `create`, `container` and `remains` are all that needs to be said. For others, each
    field that is left out takes tests away: they are skipped and say which field they miss.
    """

    create: Callable[[ProviderConfig], Provider]
    """Makes the provider, as the entry point does; called again, with an equal config, for each restart."""

    container: Fields = field(default_factory=lambda: {"image": "busybox"})
    """The fields of a container that runs until it is ended; no name. With `shell`: those that are not its command."""

    shell: Sequence[str] | None = ("sh", "-c")
    """How a container is told to run a POSIX script: `command` is this and the script. None: it runs no commands."""

    config_path: str = ""
    """`ProviderConfig.config_path`: the file of --provider-config."""

    environ: Mapping[str, str] = field(default_factory=dict)
    """`ProviderConfig.environ`: the agent's environment variables."""

    spec: Fields = field(default_factory=dict)
    """More fields of every pod's spec, for example tolerations or a runtimeClassName."""

    survives: bool = True
    """Pods outlive a provider that was closed, and one that is made from an equal config has them again."""

    remains: Callable[[str], Iterable[str]] | None = None
    """Names what the backend still has of the pod with this UID: containers, processes, volumes, addresses."""

    timeout: float = 30.0
    """Seconds that the backend may take for one thing: to start a pod, to end one that does not resist."""

    writes: Fields | None = None
    """The fields of a container that writes three lines or more and then runs until it is ended."""

    exits: Callable[[int], list[str]] | None = None
    """Returns a command that, executed in a container, ends with this code."""

    echoes: Sequence[str] | None = None
    """A command that, executed in a container, writes its standard input to its standard output, until that ends."""

    attaches: Fields | None = None
    """The fields of a container that does so by itself, and has `stdin: true`."""

    serves: Callable[[int], Fields] | None = None
    """Returns the fields of a container that listens on this TCP port and sends back what it gets."""

    def script(self, text: str) -> Fields:
        """Return the fields of a container that runs a script."""
        if self.shell is None:
            raise ValueError("the profile has no shell")
        return {**self.container, "command": [*self.shell, text]}

    def running(self) -> Fields:
        """Return the fields of a container that runs until it is ended, and then ends at once."""
        return self.container if self.shell is None else self.script(ENDS_WHEN_TOLD)

    def writing(self) -> Fields | None:
        """Return `writes`, or what it is where containers run commands."""
        return self.script(WRITES) if self.writes is None and self.shell is not None else self.writes

    def exiting(self, code: int) -> list[str] | None:
        """Return what `exits` does, or what it would where containers run commands."""
        if self.exits is not None:
            return self.exits(code)
        return None if self.shell is None else [*self.shell, f"exit {code}"]

    def echoing(self) -> list[str] | None:
        """Return `echoes`, or what it is where containers run commands."""
        if self.echoes is not None:
            return list(self.echoes)
        return None if self.shell is None else ["cat"]

    def attaching(self) -> Fields | None:
        """Return `attaches`, or what it is where containers run commands."""
        if self.attaches is None and self.shell is not None:
            return {**self.script("exec cat"), "stdin": True}
        return self.attaches


def named(fields: Fields, name: str) -> Container:
    """Return a container of that name."""
    return cast("Container", {"name": name, **fields})
