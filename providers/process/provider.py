"""The process provider: the pod runtime over local processes."""

from __future__ import annotations

import logging

from virtual_kubelet.podruntime.manager import ManagerOptions, PodManager
from virtual_kubelet.podruntime.places import memory_directory
from virtual_kubelet.provider import ProviderConfig
from virtual_kubelet.providers.process import config as process_config
from virtual_kubelet.providers.process.driver import ProcessDriver

__all__ = ["create"]

logger = logging.getLogger(__name__)


def create(config: ProviderConfig) -> PodManager:
    """Return the process provider of one node; raise `ConfigError`."""
    settings = process_config.load(config)
    logger.info("pods are kept in %s", settings.state)
    memory = memory_directory(settings.state, config.environ)
    options = ManagerOptions(settings.state, memory, service_account_optional=True)
    return PodManager(ProcessDriver(settings), options)
