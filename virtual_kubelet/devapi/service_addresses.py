"""The virtual addresses of Services."""

from __future__ import annotations

import ipaddress
from typing import Final

from virtual_kubelet.devapi import failures
from virtual_kubelet.devapi.cluster import Cluster
from virtual_kubelet.devapi.registry.kinds import Kind
from virtual_kubelet.devapi.verbs.options import WriteOptions
from virtual_kubelet.objects import JsonObject

__all__ = ["NETWORK", "service_address"]

NETWORK: Final = ipaddress.ip_network("10.96.0.0/12")
HEADLESS = "None"
OWN_SERVICE = ("default", "kubernetes")


def service_address(cluster: Cluster, kind: Kind, obj: JsonObject, options: WriteOptions) -> None:  # noqa: ARG001 - the signature of plugins
    """Give a new Service an address that no other has, or check the one that it asks for."""
    if kind.resource != "services":
        return
    spec = obj["spec"]
    meta = obj["metadata"]
    if spec.get("type") == "ExternalName":
        return
    wanted = spec.get("clusterIP") or next(iter(spec.get("clusterIPs") or ()), "")
    if wanted != HEADLESS and (meta.get("namespace"), meta.get("name")) != OWN_SERVICE:
        taken = {record.body["spec"].get("clusterIP") for record in cluster.storage.records("services")[0]}
        wanted = _checked(wanted, taken, meta.get("name", "")) if wanted else _free(cluster, taken)
    spec["clusterIP"] = wanted
    spec["clusterIPs"] = [wanted]


def _checked(wanted: str, taken: set[str | None], name: str) -> str:
    complaint = ""
    try:
        if ipaddress.ip_address(wanted) not in NETWORK:
            complaint = f"failed to allocate IP {wanted}: the provided IP is not in the valid range {NETWORK}"
    except ValueError:
        complaint = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
    if wanted in taken:
        complaint = f"failed to allocate IP {wanted}: provided IP is already allocated"
    if complaint:
        error = failures.FieldError.invalid("spec.clusterIPs", f"[{wanted}]", complaint)
        raise failures.invalid("Service", name, [error])
    return wanted


def _free(cluster: Cluster, taken: set[str | None]) -> str:
    # At random in a million addresses: two creators at once will not hit the same one.
    while True:
        address = str(NETWORK[cluster.random.randrange(256, NETWORK.num_addresses - 1)])
        if address not in taken:
            return address
