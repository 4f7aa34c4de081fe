"""The pod runtime over an engine, told of its surroundings before it begins."""

from __future__ import annotations

from virtual_kubelet.podruntime.manager import ManagerOptions, PodManager
from virtual_kubelet.provider import PodContext
from virtual_kubelet.providers.engine.driver import EngineDriver
from virtual_kubelet.runtime.clock import SYSTEM, Clock

__all__ = ["EngineProvider"]


class EngineProvider(PodManager):
    """A provider whose containers an engine runs."""

    def __init__(self, driver: EngineDriver, options: ManagerOptions, *, clock: Clock = SYSTEM) -> None:
        super().__init__(driver, options, clock=clock)
        self._engine_driver = driver

    def bind(self, context: PodContext) -> None:
        """Take the surroundings and begin."""
        self._engine_driver.bind(context)
        super().bind(context)
