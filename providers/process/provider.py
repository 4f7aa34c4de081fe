"""The process provider: the pod runtime over local processes."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Mapping
from pathlib import Path

from virtual_kubelet.podruntime.manager import ManagerOptions, PodManager
from virtual_kubelet.provider import ProviderConfig
from virtual_kubelet.providers.process import config as process_config
from virtual_kubelet.providers.process.driver import ProcessDriver
from virtual_kubelet.providers.process.supervisor_client import SUPERVISOR_ENVIRONMENT, supervisor_command

__all__ = ["create", "supervisor_service"]

logger = logging.getLogger(__name__)


def create(config: ProviderConfig) -> PodManager:
    """Return the process provider of one node; raise `ConfigError`."""
    settings = process_config.load(config)
    logger.info("pods are kept in %s", settings.state)
    options = ManagerOptions(
        settings.state, _memory(settings.state, config.environ), service_account_optional=True
    )
    return PodManager(ProcessDriver(settings), options)


def supervisor_service(config: ProviderConfig) -> tuple[list[str], dict[str, str]]:
    """Return command line and environment of the node's supervisor as a service; raise `ConfigError`.

    One that the agent starts by itself ends, with all containers, when systemd clears the agent's control group, and
    hands the agent's restrictions down to them. One that is there already is used instead.
    """
    directory = process_config.load(config).state / "supervisor"
    return [*supervisor_command(directory), "--foreground"], dict(SUPERVISOR_ENVIRONMENT)


def _memory(state: Path, environ: Mapping[str, str]) -> Path | None:
    """Return a directory on a tmpfs for secrets, of this user and this state directory alone; None: there is none."""
    name = f"virtual-kubelet-{os.geteuid()}-{hashlib.sha256(str(state).encode()).hexdigest()[:16]}"
    # The last one is everybody's: the directory in it is made and checked so that nobody else has it.
    for parent in (environ.get("XDG_RUNTIME_DIR"), "/run", "/dev/shm"):  # noqa: S108 - see above
        if parent and _is_tmpfs(parent) and os.access(parent, os.W_OK):
            return Path(parent) / name
    return None


def _is_tmpfs(path: str) -> bool:
    """Tell whether a path is on a tmpfs, by the longest mount point that holds it."""
    best, kind = "", ""
    for line in Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace").splitlines():
        _, point, filesystem, *_ = line.split()
        if (path == point or path.startswith(point.rstrip("/") + "/")) and len(point) >= len(best):
            best, kind = point, filesystem
    return kind in {"tmpfs", "ramfs"}
