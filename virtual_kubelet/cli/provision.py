"""From settings to a provider; without the agent, whose import costs more than all of this."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from virtual_kubelet.errors import ConfigError
from virtual_kubelet.provider import Provider, ProviderConfig
from virtual_kubelet.providers import registry
from virtual_kubelet.settings import Settings

__all__ = ["make_provider", "provider_config"]


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
