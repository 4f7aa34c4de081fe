"""A pod becomes a container group: the body of the PUT. Pure.

Wire shape: ContainerGroup of the ACI REST API 2023-05-01.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from virtual_kubelet.errors import InvalidInput
from virtual_kubelet.objects import JsonObject, Pod
from virtual_kubelet.providers.azure import network, refusals, registries, resources, volumes, wishes
from virtual_kubelet.providers.azure.config import AzureConfig
from virtual_kubelet.providers.azure.containers import ContainerWriter
from virtual_kubelet.providers.azure.ownership import RESERVED, Identity, Owner
from virtual_kubelet.providers.azure.wishes import Wishes

__all__ = ["Materials", "container_group"]


@dataclass(frozen=True)
class Materials:
    """What a pod refers to, already fetched."""

    files: volumes.Files = field(default_factory=dict)
    secret_names: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """By container, the names of variables whose value came from a Secret."""

    pull_secrets: Sequence[JsonObject] = ()
    cluster_dns: tuple[str, ...] = ()


def container_group(pod: Pod, config: AzureConfig, owner: Owner, materials: Materials) -> JsonObject:
    """Return the container group of `pod`.

    Args:
        pod: with its environment resolved.
        config: the node's.
        owner: whose tags the group gets.
        materials: what the pod refers to.

    Raises:
        InvalidInput: the pod asks for what a container group cannot do; names every field.
    """
    wanted = wishes.read(pod)
    refusals.check(pod, operating_system=config.operating_system, confidential=wanted.confidential)
    group: JsonObject = {
        "location": config.region,
        "tags": _tags(pod, config, owner, wanted),
        "properties": _properties(pod, config, wanted, materials),
    }
    if zones := wanted.zones or config.zones:
        group["zones"] = list(zones)
    if identity := _identity(wanted.identities or config.identities, config.registry_identity):
        group["identity"] = identity
    return group


def _tags(pod: Pod, config: AzureConfig, owner: Owner, wanted: Wishes) -> dict[str, str]:
    custom = {**config.tags, **wanted.tags}
    for name in custom:
        if name.casefold() in RESERVED:
            raise InvalidInput(f"{wishes.TAGS}: the tag {name} says whose container group it is")
    return {**custom, **owner.tags(Identity.of(pod))}


def _identity(identities: Sequence[str], registry_identity: str) -> JsonObject | None:
    """Return the managed identities of a group: the pod's, and the one that pulls its images."""
    users = [item for item in identities if item != "SystemAssigned"]
    if registry_identity and registry_identity not in users:
        users.append(registry_identity)
    kinds = ["SystemAssigned"] * ("SystemAssigned" in identities) + ["UserAssigned"] * bool(users)
    if not kinds:
        return None
    identity: JsonObject = {"type": ", ".join(kinds)}
    if users:
        identity["userAssignedIdentities"] = {user: {} for user in users}
    return identity


def _properties(pod: Pod, config: AzureConfig, wanted: Wishes, materials: Materials) -> JsonObject:
    spec = pod["spec"]
    held = volumes.translate(pod, materials.files, operating_system=config.operating_system)
    sizes = resources.translate(spec["containers"], wanted.gpu_type or config.gpu_type)
    writer = ContainerWriter(
        spec, materials.secret_names, dropped=held.dropped, confidential=wanted.confidential
    )
    properties: JsonObject = {
        "osType": config.operating_system,
        "restartPolicy": spec.get("restartPolicy") or "Always",
        "containers": writer.containers(sizes),
        "initContainers": writer.init_containers(),
        **network.translate(pod, config, wanted, materials.cluster_dns),
    }
    optional = {
        "volumes": held.volumes,
        "imageRegistryCredentials": registries.translate(
            materials.pull_secrets,
            config.registry_servers if config.registry_identity else (),
            config.registry_identity,
        ),
        "diagnostics": _diagnostics(pod, config),
        "priority": wanted.priority or config.priority,
        "sku": wanted.sku,
        "confidentialComputeProperties": {"ccePolicy": wanted.policy} if wanted.policy else None,
        "encryptionProperties": dict(wanted.encryption),
    }
    return {name: value for name, value in {**properties, **optional}.items() if value}


def _diagnostics(pod: Pod, config: AzureConfig) -> JsonObject | None:
    workspace = config.log_analytics
    if workspace is None:
        return None
    metadata = {"node-name": config.node_name, "pod-uuid": pod["metadata"]["uid"]}
    if workspace.cluster_resource_id:
        metadata["cluster-resource-id"] = workspace.cluster_resource_id
    return {
        "logAnalytics": {
            "workspaceId": workspace.workspace_id,
            "workspaceKey": workspace.workspace_key,
            "logType": "ContainerInsights",
            "metadata": metadata,
        }
    }
