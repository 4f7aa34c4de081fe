"""The docker provider: the pod runtime over Docker or Podman."""

from __future__ import annotations

import logging

from virtual_kubelet.podruntime.manager import ManagerOptions
from virtual_kubelet.podruntime.places import memory_directory
from virtual_kubelet.provider import ProviderConfig
from virtual_kubelet.providers.docker import config as docker_config
from virtual_kubelet.providers.docker.config import DockerConfig
from virtual_kubelet.providers.engine.client import Client
from virtual_kubelet.providers.engine.driver import EngineDriver
from virtual_kubelet.providers.engine.images import Images
from virtual_kubelet.providers.engine.inventory import Inventory
from virtual_kubelet.providers.engine.machine import Machine
from virtual_kubelet.providers.engine.provider import EngineProvider
from virtual_kubelet.providers.engine.shared_pod import SharedPods
from virtual_kubelet.providers.engine.storage import Storage

__all__ = ["create", "create_podman", "driver_of"]

logger = logging.getLogger(__name__)


def create(config: ProviderConfig) -> EngineProvider:
    """Return the docker provider of one node; raise `ConfigError`."""
    return _create(config, "docker")


def create_podman(config: ProviderConfig) -> EngineProvider:
    """Return the same, which looks for Podman first; raise `ConfigError`."""
    return _create(config, "podman")


def _create(config: ProviderConfig, name: str) -> EngineProvider:
    settings = docker_config.load(config, name)
    logger.info("containers run on %s, pods are kept in %s", settings.endpoint, settings.state)
    local = settings.options.local
    memory = memory_directory(settings.state, config.environ) if local else None
    options = ManagerOptions(settings.state, memory, service_account_optional=not local)
    return EngineProvider(driver_of(settings), options)


def driver_of(settings: DockerConfig) -> EngineDriver:
    """Put the parts together."""
    options = settings.options
    client = Client(settings.endpoint, version=settings.api_version)
    images = Images(client, options.registries)
    inventory = Inventory(client)
    storage = Storage(client, local=options.local)
    machine = Machine(client, options.resources)
    shape = SharedPods(client, images, inventory, storage, machine, options)
    return EngineDriver(client, images, inventory, storage, machine, shape, options)
