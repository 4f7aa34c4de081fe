"""`virtual-kubelet run`: puts settings, provider and agent together, and runs until a signal."""

from __future__ import annotations

import gc
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from virtual_kubelet.agent import VirtualKubelet
from virtual_kubelet.cli.resolve import resolve
from virtual_kubelet.cli.service_manager import Announcer, Notifier
from virtual_kubelet.cli.signals import StopOnSignal
from virtual_kubelet.errors import ConfigError
from virtual_kubelet.provider import Provider, ProviderConfig
from virtual_kubelet.providers import registry
from virtual_kubelet.runtime import logs
from virtual_kubelet.runtime.threads import Deadline
from virtual_kubelet.settings import Settings

__all__ = ["make_provider", "provider_config", "run"]

logger = logging.getLogger(__name__)

# Pods live long and have about fifty containers each: a collection that walks them all finds nothing and stops
# every thread meanwhile. Young garbage is collected as always, the old generation less often.
GC_THRESHOLDS = (10_000, 20, 100)
ANNOUNCER_TIMEOUT = 5.0  # seconds; it never waits for anything but its own clock


def run(flags: Mapping[str, Any], environ: Mapping[str, str]) -> int:
    """Run a node until SIGTERM or SIGINT; return the exit code."""
    invocation = resolve(flags, environ)
    logs.configure(invocation.log_level, invocation.log_format)
    provider = make_provider(invocation.settings, invocation.provider_config, environ)
    gc.set_threshold(*GC_THRESHOLDS)
    agent = VirtualKubelet(invocation.settings, provider)
    announcer = Announcer(agent, Notifier(environ))

    def stop() -> None:
        announcer.stopping()
        agent.stop(invocation.shutdown_timeout)

    with StopOnSignal(stop):
        announcer.start()
        try:
            agent.run()
        finally:
            announcer.stop(Deadline(ANNOUNCER_TIMEOUT))
    return 0


def make_provider(settings: Settings, config_path: str, environ: Mapping[str, str]) -> Provider:
    """Return the provider that the settings name; raise `ConfigError`."""
    factory = registry.load(settings.provider)
    if settings.state_dir:
        _make_state_dir(settings.state_dir)
    return factory(provider_config(settings, config_path, environ))


def provider_config(settings: Settings, config_path: str, environ: Mapping[str, str]) -> ProviderConfig:
    """Return what a provider is told."""
    return ProviderConfig(
        node_name=settings.node_name,
        operating_system=settings.operating_system,
        config_path=config_path,
        internal_ip=settings.node_ip,
        daemon_port=settings.port,
        cluster_domain=settings.cluster_domain,
        state_dir=settings.state_dir,
        environ=environ,
    )


def _make_state_dir(path: str) -> None:
    try:
        Path(path).mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"state directory {path}: {error.strerror}; set --state-dir") from error
