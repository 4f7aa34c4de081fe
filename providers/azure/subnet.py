"""The subnet that container groups join: there, delegated, or made where its address range is configured."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from typing import Any

from virtual_kubelet.errors import InvalidInput, ProviderError, Unavailable
from virtual_kubelet.objects import JsonObject
from virtual_kubelet.providers.azure.client import Client
from virtual_kubelet.providers.azure.config import Subnet
from virtual_kubelet.providers.azure.network import DELEGATION
from virtual_kubelet.providers.azure.shapes import mapping, mappings

__all__ = ["SubnetKeeper", "delegated"]

logger = logging.getLogger(__name__)

READY_PAUSE = 5.0  # seconds before a subnet that is being made is looked at again


class SubnetKeeper:
    """Sees once, before the first container group, that the configured subnet can take it.

    Only where SubnetCIDR is set: that says the subnet is ours to make. Otherwise it is the operator's, and ARM
    will say what is wrong with it.
    """

    def __init__(self, client: Client, subnet: Subnet | None) -> None:
        self._client = client
        self._subnet = subnet
        self._turn = threading.Lock()  # one look at a time; held through I/O
        self._done = subnet is None or not subnet.cidr  # under _turn

    def ensure(self) -> None:
        """Make the subnet, or delegate it, if that is needed.

        Raises:
            ProviderError: it cannot be made, or has another range than is configured.
        """
        with self._turn:
            if self._done or self._subnet is None:
                return
            try:
                self._ensure(self._subnet)
            except InvalidInput as error:
                # Not the pod's fault: it is to be tried again when the subnet has been put right.
                raise Unavailable(str(error)) from error
            self._done = True

    def _ensure(self, subnet: Subnet) -> None:
        found = self._client.subnet(subnet.id)
        if found is None:
            logger.info("making subnet %s with %s", subnet.id, subnet.cidr)
            self._put(subnet, {"properties": {"addressPrefix": subnet.cidr}})
            return
        _check_ready(subnet, found)
        properties = mapping(found.get("properties"))
        ranges = {properties.get("addressPrefix"), *(properties.get("addressPrefixes") or ())}
        if subnet.cidr not in ranges:
            known = ", ".join(sorted(item for item in ranges if item)) or "no range"
            raise ProviderError(f"subnet {subnet.id} has {known}, not {subnet.cidr}: correct SubnetCIDR")
        if not _is_delegated(properties):
            logger.info("delegating subnet %s to container groups", subnet.id)
            self._put(subnet, found)

    def _put(self, subnet: Subnet, body: JsonObject) -> None:
        _check_ready(subnet, self._client.put_subnet(subnet.id, delegated(body)))


def delegated(subnet: Mapping[str, Any]) -> JsonObject:
    """Return `subnet` with the delegation that container groups need."""
    properties = mapping(subnet.get("properties"))
    others = [item for item in mappings(properties.get("delegations")) if not _is_ours(item)]
    ours = {"name": "aciDelegation", "properties": {"serviceName": DELEGATION}}
    return {**subnet, "properties": {**properties, "delegations": [*others, ours]}}


def _check_ready(subnet: Subnet, body: Mapping[str, Any]) -> None:
    """Raise `Unavailable` as long as Azure is still at work on a subnet: it takes no group then."""
    state = str(mapping(body.get("properties")).get("provisioningState") or "Succeeded")
    if state.lower() == "updating":
        raise Unavailable(f"subnet {subnet.id} is being prepared", retry_after=READY_PAUSE)


def _is_delegated(properties: Mapping[str, Any]) -> bool:
    return any(_is_ours(item) for item in mappings(properties.get("delegations")))


def _is_ours(delegation: Mapping[str, Any]) -> bool:
    name = str(mapping(delegation.get("properties")).get("serviceName") or "")
    return name.casefold() == DELEGATION.casefold()
