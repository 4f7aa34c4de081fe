"""The process provider: the pod runtime over local processes."""

from __future__ import annotations

import logging

from virtual_kubelet.podruntime.manager import ManagerOptions, PodManager
from virtual_kubelet.podruntime.places import memory_directory
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
    memory = memory_directory(settings.state, config.environ)
    options = ManagerOptions(settings.state, memory, service_account_optional=True)
    return PodManager(ProcessDriver(settings), options)


def supervisor_service(config: ProviderConfig) -> tuple[list[str], dict[str, str]]:
    """Return command line and environment of the node's supervisor as a service; raise `ConfigError`.

    One that the agent starts by itself ends, with all containers, when systemd clears the agent's control group, and
    hands the agent's restrictions down to them. One that is there already is used instead.
    """
    settings = process_config.load(config)
    command = supervisor_command(settings.state / "supervisor", settings.cgroup)
    return [*command, "--foreground"], dict(SUPERVISOR_ENVIRONMENT)
