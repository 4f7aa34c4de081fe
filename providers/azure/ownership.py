"""Which container groups are ours: their names, and the tags that say whose they are. Pure.

A name is for people and must be unique: what can be read of namespace and pod name, then a hash of namespace,
name and UID. What a group is, its tags say: names are never taken apart. The tags are those of the Go provider,
whose groups of the same node are recognised; in addition ClusterName holds our cluster's id.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Container
from dataclasses import dataclass

from virtual_kubelet.objects import JsonObject, Pod

__all__ = ["Identity", "Owner", "group_name"]

LONGEST_NAME = 63  # of a container group: lower-case letters, digits, single hyphens inside
HASH_LENGTH = 12  # base32 characters: 60 bits

_NODE, _CLUSTER = "NodeName", "ClusterName"
_NAMESPACE, _POD, _UID, _CREATED = "Namespace", "PodName", "UID", "CreationTimestamp"
RESERVED = frozenset(name.casefold() for name in (_NODE, _CLUSTER, _NAMESPACE, _POD, _UID, _CREATED))


@dataclass(frozen=True)
class Identity:
    """Whose group it is: namespace/name plus UID."""

    namespace: str
    name: str
    uid: str
    created: str = ""  # the pod's creationTimestamp

    @classmethod
    def of(cls, pod: Pod) -> Identity:
        """Return the identity of a pod."""
        metadata = pod["metadata"]
        return cls(
            metadata["namespace"],
            metadata["name"],
            metadata["uid"],
            metadata.get("creationTimestamp") or "",
        )

    @property
    def key(self) -> tuple[str, str]:
        """Namespace and name."""
        return self.namespace, self.name


@dataclass(frozen=True)
class Owner:
    """One node of one cluster."""

    node: str
    cluster: str = ""  # "" where it is not known

    def tags(self, identity: Identity) -> dict[str, str]:
        """Return the tags of the container group of a pod."""
        return {
            _POD: identity.name,
            _CLUSTER: self.cluster,
            _NODE: self.node,
            _NAMESPACE: identity.namespace,
            _UID: identity.uid,
            _CREATED: identity.created,
        }

    def identify(self, group: JsonObject, wanted: Container[str] = ()) -> Identity | None:
        """Return whose group it is, or None when it is none of this node's.

        `wanted` has the UIDs of the pods that the API server has bound to this node: those are ours whatever
        the cluster's name on them, and where our own cluster's id is not known they are the only ones. A
        group with no cluster's name on it is taken for ours: only the Go provider of a node of this name, in
        this resource group, makes such.
        """
        raw = group.get("tags")
        if not isinstance(raw, dict):
            return None
        # ARM keeps the case of a tag's name but compares without regard to it.
        tags = {str(name).casefold(): str(value) for name, value in raw.items()}
        if tags.get(_NODE.casefold()) != self.node:
            return None
        identity = Identity(
            tags.get(_NAMESPACE.casefold(), ""),
            tags.get(_POD.casefold(), ""),
            tags.get(_UID.casefold(), ""),
            tags.get(_CREATED.casefold(), ""),
        )
        if not (identity.namespace and identity.name and identity.uid):
            return None
        cluster = tags.get(_CLUSTER.casefold(), "")
        return identity if cluster in {"", self.cluster} or identity.uid in wanted else None


def group_name(identity: Identity) -> str:
    """Return a valid name for a pod's container group that no other pod's has."""
    seed = f"{identity.namespace}/{identity.name}/{identity.uid}"
    digest = base64.b32encode(hashlib.sha256(seed.encode()).digest()).decode().lower()[:HASH_LENGTH]
    words = re.sub(r"[^a-z0-9]+", "-", f"{identity.namespace}-{identity.name}".lower()).strip("-")
    prefix = words[: LONGEST_NAME - HASH_LENGTH - 1].rstrip("-")
    return f"{prefix}-{digest}" if prefix else f"pod-{digest}"
