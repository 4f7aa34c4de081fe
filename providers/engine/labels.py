"""Labels and names of what is made in an engine. Pure.

Names are for people and for the engine's own check that nothing is made twice; whose a container is, labels say,
and whose a volume is, its name.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

from virtual_kubelet.objects import Pod

__all__ = ["CONTAINER", "INFRA", "OWN", "container_name", "infra_name", "is_ours", "node_labels", "of_container", "of_infra", "of_volume", "read", "volume_name", "volume_prefix"]  # fmt: skip

NAMESPACE = "io.kubernetes.pod.namespace"
POD = "io.kubernetes.pod.name"
UID = "io.kubernetes.pod.uid"
CONTAINER_NAME = "io.kubernetes.container.name"
ATTEMPT = "virtual-kubelet.io/attempt"
NODE = "virtual-kubelet.io/node"
CLUSTER = "virtual-kubelet.io/cluster"
IMAGE = "virtual-kubelet.io/image"
KIND = "virtual-kubelet.io/kind"

CONTAINER, INFRA, VOLUME = "container", "infra", "volume"
OWN = {
    "namespace": NAMESPACE,
    "pod": POD,
    "uid": UID,
    "container": CONTAINER_NAME,
    "attempt": ATTEMPT,
    "node": NODE,
    "cluster": CLUSTER,
    "image": IMAGE,
}

_ODD = re.compile(r"[^a-zA-Z0-9_-]")
MAX_PART = 40


def node_labels(node_name: str) -> dict[str, str]:
    """Return what everything of a node has."""
    return {NODE: node_name}


def of_container(values: Mapping[str, str]) -> dict[str, str]:
    """Return a container's labels, from the runtime's (`ContainerRequest.labels`)."""
    return {KIND: CONTAINER, **{OWN[key]: value for key, value in values.items() if key in OWN}}


def of_infra(pod: Pod, node_name: str, cluster_id: str) -> dict[str, str]:
    """Return the labels of what holds a pod's namespaces."""
    metadata = pod["metadata"]
    return {
        KIND: INFRA,
        NODE: node_name,
        CLUSTER: cluster_id,
        NAMESPACE: metadata["namespace"],
        POD: metadata["name"],
        UID: metadata["uid"],
    }


def of_volume(pod: Pod, node_name: str, cluster_id: str) -> dict[str, str]:
    """Return the labels of a volume that the engine keeps for a pod."""
    return {**of_infra(pod, node_name, cluster_id), KIND: VOLUME}


def read(labels: Mapping[str, str]) -> dict[str, str]:
    """Return the runtime's names for what labels say; "" for what they do not."""
    return {key: labels.get(label, "") for key, label in OWN.items()}


def is_ours(labels: Mapping[str, str], node_name: str, cluster_id: str) -> bool:
    """Tell whether something belongs to this node of this cluster; an unknown cluster is not another one."""
    theirs = labels.get(CLUSTER, "")
    return labels.get(NODE) == node_name and (not theirs or not cluster_id or theirs == cluster_id)


def container_name(values: Mapping[str, str]) -> str:
    """Return a container's name: the same for the same attempt, so that it cannot be made twice."""
    return (
        f"{_name(values['pod'], values['namespace'], values['uid'], values['container'])}-{values['attempt']}"
    )


def infra_name(pod: Pod, node_name: str) -> str:
    """Return the name of what holds a pod's namespaces."""
    metadata = pod["metadata"]
    return _name(metadata["name"], metadata["namespace"], metadata["uid"], f"infra {node_name}")


def volume_prefix(node_name: str, cluster_id: str, uid: str = "") -> str:
    """Return what the names of a node's volumes begin with, or those of one pod.

    Not by labels: Hyper keeps labels of its own in a volume, and API 1.23 has no filter for them.
    """
    owner = hashlib.sha256(f"{cluster_id}\0{node_name}".encode()).hexdigest()[:12]
    # The dot ends a UID, which has none: one that another begins with is another pod's.
    return f"vk-{owner}-{_ODD.sub('-', uid)}." if uid else f"vk-{owner}-"


def volume_name(prefix: str, volume: str) -> str:
    """Return the name of a volume that the engine keeps for the pod of `prefix`."""
    return prefix + _ODD.sub("-", volume)


def _name(first: str, namespace: str, uid: str, last: str) -> str:
    """Return a name that engines take: readable, not too long, and a digest so that no two are the same."""
    digest = hashlib.sha256(f"{namespace}\0{first}\0{uid}\0{last}".encode()).hexdigest()[:12]
    parts = (_ODD.sub("-", part)[:MAX_PART].strip("-") for part in (first, namespace, last.partition(" ")[0]))
    return "-".join(("vk", *(part for part in parts if part), digest))
