"""The Node object: made whole from settings, provider and host, and brought to the API server in small patches.

Other writers share the object: schedulers and administrators cordon and taint it, controllers label it. What the
agent wished last time is kept in three annotations (two of them as the Go virtual-kubelet names them), so that what
it no longer wishes goes and everything else stays, across restarts too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from virtual_kubelet.objects import JsonObject, Node, NodeAddress, Taint
from virtual_kubelet.pure import quantity
from virtual_kubelet.pure.patches import Schema, schema_of, three_way_patch

__all__ = [
    "LAST_META",
    "LAST_STATUS",
    "LAST_TAINTS",
    "HostFacts",
    "NodeWish",
    "base_node",
    "forbidden_label",
    "metadata_patch",
    "normal_quantities",
    "registration",
    "significant",
    "spec_patch",
    "status_patch",
]

LAST_STATUS = "virtual-kubelet.io/last-applied-node-status"
LAST_META = "virtual-kubelet.io/last-applied-object-meta"
LAST_TAINTS = "virtual-kubelet.io/last-applied-taints"
OURS = (LAST_STATUS, LAST_META, LAST_TAINTS)

TIMES = ("lastHeartbeatTime", "lastTransitionTime")
PLAIN = Schema()
STATUS = (schema_of("", "Node") or PLAIN).of("status")
ALLOWED_LABELS = frozenset(
    {
        "kubernetes.io/hostname",
        "kubernetes.io/arch",
        "kubernetes.io/os",
        "beta.kubernetes.io/arch",
        "beta.kubernetes.io/os",
        "beta.kubernetes.io/instance-type",
        "node.kubernetes.io/instance-type",
        "failure-domain.beta.kubernetes.io/region",
        "failure-domain.beta.kubernetes.io/zone",
        "topology.kubernetes.io/region",
        "topology.kubernetes.io/zone",
    }
)
ALLOWED_NAMESPACES = ("kubelet.kubernetes.io", "node.kubernetes.io")


@dataclass(frozen=True)
class HostFacts:
    """What the machine that the agent runs on says of itself."""

    architecture: str  # GOARCH: amd64, arm64 ...
    kernel_version: str = ""
    os_image: str = ""
    machine_id: str = ""
    system_uuid: str = ""
    boot_id: str = ""


@dataclass(frozen=True)
class NodeWish:
    """What the settings say about the node."""

    name: str
    operating_system: str  # Linux or Windows
    version: str  # of this package
    kubernetes_version: str
    host: HostFacts
    labels: Mapping[str, str]
    taints: Sequence[Taint]
    features: tuple[str, ...] = ()


def base_node(
    wish: NodeWish, *, capacity: Mapping[str, str], addresses: list[NodeAddress], port: int
) -> Node:
    """Return the node as a provider's `configure_node` gets to see it: everything but conditions."""
    operating_system, host = wish.operating_system.lower(), wish.host
    labels = {
        "type": "virtual-kubelet",
        "kubernetes.io/role": "agent",
        "kubernetes.io/hostname": wish.name,
        "kubernetes.io/os": operating_system,
        "kubernetes.io/arch": host.architecture,
        **wish.labels,
    }
    amounts = normal_quantities(capacity)
    node: Node = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": wish.name, "labels": labels, "annotations": {}},
        "spec": {"taints": [{**taint} for taint in wish.taints]},
        "status": {
            "capacity": amounts,
            "allocatable": dict(amounts),
            "addresses": addresses,
            "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
            "nodeInfo": {
                "machineID": host.machine_id,
                "systemUUID": host.system_uuid,
                "bootID": host.boot_id,
                "kernelVersion": host.kernel_version,
                "osImage": host.os_image,
                "containerRuntimeVersion": f"virtual-kubelet://{wish.version}",
                # Parses as a semantic version: kubectl, the scheduler and version skew checks read it.
                "kubeletVersion": f"v{wish.kubernetes_version}-vk-{wish.version}",
                "kubeProxyVersion": "",
                "operatingSystem": operating_system,
                "architecture": host.architecture,
            },
        },
    }
    if wish.features:
        node["status"]["declaredFeatures"] = sorted(wish.features)
    return node


def normal_quantities(amounts: Mapping[str, str]) -> dict[str, str]:
    """Return quantities as the API server writes them, so that equal ones look equal."""
    return {name: str(quantity.parse(amount)) for name, amount in amounts.items()}


def registration(wanted: Node) -> Node:
    """Return the object that creates the node, with what we wish remembered in it."""
    return {**wanted, "metadata": {**wanted["metadata"], "annotations": _annotations(wanted)}}


def metadata_patch(current: Node, wanted: Node) -> JsonObject | None:
    """Return the patch for labels and annotations, or None."""
    original = _remembered(current, LAST_META)
    changes: JsonObject = {}
    for field in ("labels", "annotations"):
        before: Any = current["metadata"].get(field) or {}
        after: Any = wanted["metadata"].get(field) or {}
        change = three_way_patch(original.get(field) or {}, after, before, PLAIN)
        if change:
            changes[field] = change
    remembered = _last_meta(wanted)
    if _annotation(current, LAST_META) != remembered:
        changes.setdefault("annotations", {})[LAST_META] = remembered
    return {"metadata": changes} if changes else None


def spec_patch(current: Node, wanted: Node) -> JsonObject | None:
    """Return the patch for taints and providerID, or None.

    Taints are one atomic list that others write too, so the patch carries the resourceVersion: a conflict
    means to look again.
    """
    held = current.get("spec", {})
    ours = wanted.get("spec", {}).get("taints") or []
    spec: JsonObject = {}
    taints = _merged_taints(held.get("taints") or [], ours, _remembered_taints(current))
    if taints != (held.get("taints") or []):
        spec["taints"] = taints or None
    provider_id = wanted.get("spec", {}).get("providerID")
    if provider_id and not held.get("providerID"):
        spec["providerID"] = provider_id  # the API server lets nobody change it later
    remembered = _last_taints(wanted)
    metadata: JsonObject = {"resourceVersion": current["metadata"].get("resourceVersion")}
    if _annotation(current, LAST_TAINTS) != remembered:
        metadata["annotations"] = {LAST_TAINTS: remembered}
    elif not spec:
        return None
    return {"metadata": metadata, **({"spec": spec} if spec else {})}


def status_patch(current: Node, wanted: Node) -> JsonObject | None:
    """Return the patch for the `status` subresource, or None when nothing differs, heartbeats included."""
    original = _remembered(current, LAST_STATUS)
    before: JsonObject = {**current.get("status", {})}
    after: JsonObject = {**wanted.get("status", {})}
    change = three_way_patch(original, after, before, STATUS)
    if not change:
        return None
    return {"metadata": {"annotations": {LAST_STATUS: _last_status(wanted)}}, "status": change}


def significant(patch: JsonObject) -> JsonObject:
    """Return what a status patch says beyond that the node still lives; {} for nothing."""
    status: JsonObject = {**patch["status"]}
    conditions = [
        {key: value for key, value in item.items() if key != "lastHeartbeatTime"}
        for item in status.pop("conditions", ())
    ]
    changed = [item for item in conditions if item.keys() != {"type"}]
    return {**status, "conditions": changed} if changed else status


def forbidden_label(name: str) -> bool:
    """Tell whether the NodeRestriction admission keeps a node from giving itself the label."""
    domain, slash, _ = name.rpartition("/")
    if not slash or name in ALLOWED_LABELS:
        return False
    if any(domain == ns or domain.endswith(f".{ns}") for ns in ALLOWED_NAMESPACES):
        return False
    return any(domain == d or domain.endswith(f".{d}") for d in ("kubernetes.io", "k8s.io"))


def _merged_taints(held: list[Taint], ours: Sequence[Taint], before: Sequence[Taint]) -> list[Taint]:
    """Return the server's list with our taints in it, and without those that we no longer wish."""
    wished = {_identity(taint): taint for taint in ours}
    gone = {_identity(taint) for taint in before} - wished.keys()
    merged: list[Taint] = []
    for taint in held:
        mine = wished.pop(_identity(taint), None)
        if mine is not None:
            merged.append(taint if taint.get("value", "") == mine.get("value", "") else mine)
        elif _identity(taint) not in gone:
            merged.append(taint)
    return merged + list(wished.values())


def _identity(taint: Taint) -> tuple[str, str]:
    return taint.get("key", ""), taint.get("effect", "")


def _annotations(wanted: Node) -> dict[str, str]:
    return {
        **(wanted["metadata"].get("annotations") or {}),
        LAST_STATUS: _last_status(wanted),
        LAST_META: _last_meta(wanted),
        LAST_TAINTS: _last_taints(wanted),
    }


def _last_status(wanted: Node) -> str:
    # Without the times of conditions: they would rewrite the annotation with each heartbeat.
    status: JsonObject = {**wanted.get("status", {})}
    status["conditions"] = [
        {key: value for key, value in item.items() if key not in TIMES}
        for item in status.get("conditions", ())
    ]
    return json.dumps(status, separators=(",", ":"), sort_keys=True)


def _last_meta(wanted: Node) -> str:
    metadata = wanted["metadata"]
    annotations = {k: v for k, v in (metadata.get("annotations") or {}).items() if k not in OURS}
    meta = {"name": metadata["name"], "labels": metadata.get("labels") or {}, "annotations": annotations}
    return json.dumps(meta, separators=(",", ":"), sort_keys=True)


def _last_taints(wanted: Node) -> str:
    return json.dumps(wanted.get("spec", {}).get("taints") or [], separators=(",", ":"), sort_keys=True)


def _remembered(current: Node, annotation: str) -> JsonObject:
    """Return what an annotation remembers; {} where it does not, or somebody wrote into it."""
    value = _decoded(current, annotation)
    return value if isinstance(value, dict) else {}


def _remembered_taints(current: Node) -> list[Taint]:
    value = _decoded(current, LAST_TAINTS)
    if not isinstance(value, list):
        return []
    return [item for item in value if isinstance(item, dict)]  # type: ignore[misc]  # shape checked as far as used


def _decoded(current: Node, annotation: str) -> Any:
    text = _annotation(current, annotation)
    try:
        return json.loads(text) if text else None
    except ValueError:
        return None


def _annotation(current: Node, name: str) -> str:
    return (current["metadata"].get("annotations") or {}).get(name, "")
