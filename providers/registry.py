"""Finds a provider by name: ours in a table of strings, others by entry point.

A provider's module is imported when it is asked for, so that no cloud's SDK is loaded for nothing. A package
of your own makes itself known in its setup.cfg:

    [options.entry_points]
    virtual_kubelet.providers =
        acme = acme_provider:create

where `create(config: ProviderConfig) -> Provider`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from typing import TypeAlias, cast

from virtual_kubelet.errors import ConfigError
from virtual_kubelet.provider import Provider, ProviderConfig

__all__ = ["ENTRY_POINT_GROUP", "Factory", "load", "names"]

Factory: TypeAlias = Callable[[ProviderConfig], Provider]

ENTRY_POINT_GROUP = "virtual_kubelet.providers"

OURS = {
    "azure": "virtual_kubelet.providers.azure.provider:create",
    "docker": "virtual_kubelet.providers.docker.provider:create",
    "hyper": "virtual_kubelet.providers.hyper.provider:create",
    "mock": "virtual_kubelet.providers.mock.provider:create",
    "podman": "virtual_kubelet.providers.docker.provider:create_podman",
    "process": "virtual_kubelet.providers.process.provider:create",
}


def names() -> list[str]:
    """Return the names of all providers that are installed."""
    return sorted({*OURS, *(point.name for point in _others())})


def load(name: str) -> Factory:
    """Return the factory of the provider `name`; raise `ConfigError` when there is none or it cannot be imported."""
    if name in OURS:
        module, _, attribute = OURS[name].partition(":")
        return cast("Factory", getattr(importlib.import_module(module), attribute))
    for point in _others():
        if point.name == name:
            return _load_entry_point(point)
    known = ", ".join(names())
    if not name:
        raise ConfigError(f"no provider is chosen; use --provider with one of {known}")
    raise ConfigError(f'provider "{name}" not found; installed are {known}')


def _others() -> list[EntryPoint]:
    return list(entry_points(group=ENTRY_POINT_GROUP))


def _load_entry_point(point: EntryPoint) -> Factory:
    try:
        return cast("Factory", point.load())
    except (ImportError, AttributeError) as error:
        raise ConfigError(f'provider "{point.name}" ({point.value}) cannot be imported: {error}') from error
