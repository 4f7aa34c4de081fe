"""What a provider on an engine is told by its configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from virtual_kubelet.errors import InvalidInput
from virtual_kubelet.objects import JsonObject

__all__ = ["PAUSE_IMAGE", "EngineOptions", "profile_reader"]

PAUSE_IMAGE = "registry.k8s.io/pause:3.10"


def profile_reader(directory: str) -> Callable[[str], str]:
    """Return what reads Localhost seccomp profiles below `directory`, as the kubelet's seccomp directory."""

    def read(name: str) -> str:
        root = Path(directory)
        if not directory or not name:
            raise InvalidInput(
                f'seccomp profile "{name}" is not available: set seccomp-profiles to their directory'
            )
        path = (root / name).resolve()
        if not path.is_relative_to(root.resolve()):
            raise InvalidInput(f'seccomp profile "{name}" leads out of {root}')
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidInput(f'seccomp profile "{name}" cannot be read: {error}') from error

    return read


@dataclass(frozen=True)
class EngineOptions:
    """Settings of the driver."""

    name: str = "docker"  # the scheme of container ids
    local: bool = True  # the engine sees this machine's files
    infra_image: str = PAUSE_IMAGE
    infra_command: tuple[str, ...] = ()
    network: str = ""
    dns_servers: tuple[str, ...] = ()
    resources: Mapping[str, str] = field(default_factory=dict)
    log_config: JsonObject = field(default_factory=dict)
    unsafe_sysctls: tuple[str, ...] = ()
    registries: tuple[JsonObject, ...] = ()  # the node's own credentials, as decoded pull secrets
    events: bool = True
    read_profile: Callable[[str], str] = field(default_factory=lambda: profile_reader(""))
