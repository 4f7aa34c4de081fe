"""Puts the provider's parts together: the one place that knows how they are made from a configuration."""

from __future__ import annotations

from dataclasses import dataclass

from virtual_kubelet.providers.azure import auth
from virtual_kubelet.providers.azure.budget import ReadBudget
from virtual_kubelet.providers.azure.client import Client
from virtual_kubelet.providers.azure.config import AzureConfig
from virtual_kubelet.providers.azure.health import Health
from virtual_kubelet.providers.azure.transport import Transport, new_session
from virtual_kubelet.runtime.clock import Clock
from virtual_kubelet.version import __version__

__all__ = ["Connection", "connect"]


@dataclass(frozen=True)
class Connection:
    """Everything between us and Azure Resource Manager."""

    client: Client
    budget: ReadBudget
    health: Health
    tokens: auth.Tokens


def connect(config: AzureConfig, clock: Clock, tokens: auth.Tokens | None = None) -> Connection:
    """Return a new connection; nothing is sent yet. `tokens` are those of an earlier one."""
    credential = config.credential
    session = new_session(credential.resource_manager)
    tokens = tokens or auth.source(credential, new_session(credential.active_directory), clock)
    budget, health = ReadBudget(config.reads_per_minute, clock), Health(clock)
    agent = f"virtual-kubelet/{__version__} azure/{config.api_version}"
    transport = Transport(
        credential.resource_manager,
        tokens,
        session,
        budget=budget,
        health=health,
        user_agent=f"{agent} {config.extra_user_agent}".strip(),
        clock=clock,
    )
    client = Client(
        transport,
        subscription=config.subscription_id,
        resource_group=config.resource_group,
        region=config.region,
        version=config.api_version,
    )
    return Connection(client, budget, health, tokens)
