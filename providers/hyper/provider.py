"""The hyper provider: the pod runtime over Hyper.sh's API."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from virtual_kubelet.objects import Container, Pod
from virtual_kubelet.podruntime.manager import ManagerOptions
from virtual_kubelet.provider import ProviderConfig
from virtual_kubelet.providers.engine.client import Client
from virtual_kubelet.providers.engine.driver import EngineDriver
from virtual_kubelet.providers.engine.images import Images
from virtual_kubelet.providers.engine.inventory import Inventory
from virtual_kubelet.providers.engine.loose_pod import LoosePods
from virtual_kubelet.providers.engine.machine import Machine
from virtual_kubelet.providers.engine.options import EngineOptions
from virtual_kubelet.providers.engine.provider import EngineProvider
from virtual_kubelet.providers.engine.storage import Storage
from virtual_kubelet.providers.hyper import config as hyper_config
from virtual_kubelet.providers.hyper import instances, rules
from virtual_kubelet.providers.hyper.auth import HyperAuth
from virtual_kubelet.providers.hyper.config import HyperConfig
from virtual_kubelet.runtime.clock import SYSTEM, Clock

__all__ = ["create", "driver_of"]

logger = logging.getLogger(__name__)

PROBE = "/info"  # the service has no /_ping
# What the provider's first form called them, for people's scripts; whose a container is, the driver's labels say.
POD_LABEL, NODE_LABEL = "hyper-virtual-kubelet", "hyper-virtual-kubelet-node"


def create(config: ProviderConfig) -> EngineProvider:
    """Return the hyper provider of one node; raise `ConfigError`."""
    settings = hyper_config.load(config)
    logger.info("containers run at %s, with the keys %s", settings.endpoint, settings.keys)
    options = ManagerOptions(settings.state, service_account_optional=True)
    return EngineProvider(driver_of(settings), options)


def driver_of(settings: HyperConfig, clock: Clock = SYSTEM) -> EngineDriver:
    """Put the parts together."""
    options = EngineOptions(
        name="hyper", local=False, resources=settings.resources, registries=settings.registries
    )
    auth = HyperAuth(settings.keys, clock)
    client = Client(settings.endpoint, version=settings.api_version, auth=auth, probe=PROBE)
    images = Images(client, options.registries)
    inventory = Inventory(client, own_addresses=True)
    driver = settings.volume_driver
    sizes = rules.volume_options if driver == "hyper" else None
    storage = Storage(client, local=False, driver=driver, driver_options=sizes)
    machine = Machine(client, options.resources)

    def labels(pod: Pod, container: Container) -> Mapping[str, str]:
        return {
            POD_LABEL: pod["metadata"]["name"],
            NODE_LABEL: str(pod["spec"].get("nodeName") or ""),
            instances.LABEL: instances.instance_type(pod, container, settings.instance_type),
        }

    shape = LoosePods(
        images,
        inventory,
        storage,
        options,
        rules=rules.check,
        labels=labels,
        publish_all=settings.publish_all,
    )
    return EngineDriver(client, images, inventory, storage, machine, shape, options, clock=clock)
