"""The merge rules of the built-in kinds, after the API types of Kubernetes 1.36.

Only what departs from the rule is here: see `schema`. Lists that are atomic in both mechanisms (taints,
tolerations, command, containerStatuses and so on) need no entry, nor do atomic objects of a single field.
"""

from __future__ import annotations

from typing import Final

from virtual_kubelet.pure.patches.schema import ATOMIC, SET, Schema, keyed, struct

__all__ = ["schema_of"]

_METADATA: Final = struct(
    finalizers=SET,
    ownerReferences=keyed("uid", ATOMIC),
)
_CONDITIONS: Final = keyed("type")

# ---------------------------------------------------------------------------------------------------------
# Pods

_KEY_REFERENCES: Final = struct(
    configMapKeyRef=ATOMIC, secretKeyRef=ATOMIC, fieldRef=ATOMIC, resourceFieldRef=ATOMIC, fileKeyRef=ATOMIC
)
_RESOURCES: Final = struct(claims=keyed("", map_keys=("name",)))

_CONTAINER: Final = struct(
    # Ports are told apart by number alone in a strategic merge: 53/TCP and 53/UDP are one to it.
    ports=keyed("containerPort", map_keys=("containerPort", "protocol"), protocol="TCP"),
    env=keyed("name", struct(valueFrom=_KEY_REFERENCES)),
    resources=_RESOURCES,
    volumeMounts=keyed("mountPath"),
    volumeDevices=keyed("devicePath"),
)
_CONTAINERS: Final = keyed("name", _CONTAINER)

_AFFINITY: Final = struct(
    nodeAffinity=struct(requiredDuringSchedulingIgnoredDuringExecution=ATOMIC),
)

_POD_SPEC: Final = struct(
    affinity=_AFFINITY,
    containers=_CONTAINERS,
    ephemeralContainers=_CONTAINERS,
    hostAliases=keyed("ip"),
    imagePullSecrets=keyed("name", ATOMIC),
    initContainers=_CONTAINERS,
    nodeSelector=ATOMIC,
    resourceClaims=keyed("name"),
    resources=_RESOURCES,
    schedulingGates=keyed("name"),
    topologySpreadConstraints=keyed(
        "topologyKey", struct(labelSelector=ATOMIC), map_keys=("topologyKey", "whenUnsatisfiable")
    ),
    volumes=keyed("name"),
)

_POD_STATUS: Final = struct(
    conditions=_CONDITIONS,
    hostIPs=keyed("ip", map_keys=()),
    podIPs=keyed("ip"),
    resourceClaimStatuses=keyed("name"),
)

_POD: Final = struct(metadata=_METADATA, spec=_POD_SPEC, status=_POD_STATUS)
_POD_TEMPLATE: Final = struct(metadata=_METADATA, spec=_POD_SPEC)

# ---------------------------------------------------------------------------------------------------------
# Nodes, services and the rest

_NODE: Final = struct(
    metadata=_METADATA,
    spec=struct(podCIDRs=SET),
    # Two addresses of one type (IPv4 and IPv6) are one to a strategic merge.
    status=struct(addresses=keyed("type"), conditions=_CONDITIONS),
)

_SERVICE: Final = struct(
    metadata=_METADATA,
    spec=struct(
        ports=keyed("port", map_keys=("port", "protocol"), protocol="TCP"),
        selector=ATOMIC,
    ),
    status=struct(conditions=_CONDITIONS),
)

_SERVICE_ACCOUNT: Final = struct(metadata=_METADATA, secrets=keyed("name", ATOMIC))

_CONDITIONED: Final = struct(metadata=_METADATA, status=struct(conditions=_CONDITIONS))

_CERTIFICATE_SIGNING_REQUEST: Final = struct(
    metadata=_METADATA, status=struct(conditions=keyed("", map_keys=("type",)))
)


def _workload(**spec: Schema) -> Schema:
    """Return the schema of a kind that makes pods from a template."""
    return struct(
        metadata=_METADATA,
        spec=struct(selector=ATOMIC, template=_POD_TEMPLATE, **spec),
        status=struct(conditions=_CONDITIONS),
    )


_WORKLOAD: Final = _workload()
_METADATA_ONLY: Final = struct(metadata=_METADATA)

_KINDS: Final = {
    ("", "ConfigMap"): _METADATA_ONLY,
    ("", "Endpoints"): _METADATA_ONLY,
    ("", "Event"): struct(metadata=_METADATA, involvedObject=ATOMIC, related=ATOMIC),
    ("", "Namespace"): _CONDITIONED,
    ("", "Node"): _NODE,
    ("", "PersistentVolumeClaim"): _CONDITIONED,
    ("", "Pod"): _POD,
    ("", "PodTemplate"): struct(metadata=_METADATA, template=_POD_TEMPLATE),
    ("", "ReplicationController"): _WORKLOAD,
    ("", "Secret"): _METADATA_ONLY,
    ("", "Service"): _SERVICE,
    ("", "ServiceAccount"): _SERVICE_ACCOUNT,
    ("apps", "DaemonSet"): _WORKLOAD,
    ("apps", "Deployment"): _WORKLOAD,
    ("apps", "ReplicaSet"): _WORKLOAD,
    ("apps", "StatefulSet"): _WORKLOAD,
    ("batch", "Job"): _WORKLOAD,
    ("batch", "CronJob"): struct(
        metadata=_METADATA, spec=struct(jobTemplate=struct(metadata=_METADATA, spec=_WORKLOAD.of("spec")))
    ),
    ("certificates.k8s.io", "CertificateSigningRequest"): _CERTIFICATE_SIGNING_REQUEST,
    ("coordination.k8s.io", "Lease"): _METADATA_ONLY,
    ("discovery.k8s.io", "EndpointSlice"): _METADATA_ONLY,
    ("events.k8s.io", "Event"): struct(metadata=_METADATA, regarding=ATOMIC, related=ATOMIC),
    ("policy", "PodDisruptionBudget"): struct(
        metadata=_METADATA, spec=struct(selector=ATOMIC), status=struct(conditions=_CONDITIONS)
    ),
    ("rbac.authorization.k8s.io", "ClusterRole"): _METADATA_ONLY,
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): struct(metadata=_METADATA, roleRef=ATOMIC),
    ("rbac.authorization.k8s.io", "Role"): _METADATA_ONLY,
    ("rbac.authorization.k8s.io", "RoleBinding"): struct(metadata=_METADATA, roleRef=ATOMIC),
    ("storage.k8s.io", "StorageClass"): _METADATA_ONLY,
}


def schema_of(group: str, kind: str) -> Schema | None:
    """Return the merge rules of a built-in kind; None for others, which know no strategic merge.

    Args:
        group: the API group, "" for the core.
        kind: for example `Pod`.
    """
    return _KINDS.get((group, kind))
