"""Names and shapes for the Kubernetes JSON that this package reads and writes.

An object is the plain dict that came over the wire: these TypedDicts exist for readers and for mypy, cost
nothing at run time, and unknown fields survive. They list the fields that the package uses, after the
Kubernetes API reference v1.36; a key may always be absent. What sits in a cache is read-only: `codec.copy`
before a change.
"""

from __future__ import annotations

from typing import Any, TypeAlias, TypedDict

__all__ = [
    "Condition",
    "ConfigMap",
    "Container",
    "ContainerPort",
    "ContainerState",
    "ContainerStateRunning",
    "ContainerStateTerminated",
    "ContainerStateWaiting",
    "ContainerStatus",
    "EnvFromSource",
    "EnvVar",
    "Event",
    "JsonObject",
    "Lease",
    "LeaseSpec",
    "Node",
    "NodeAddress",
    "NodeSpec",
    "NodeStatus",
    "ObjectMeta",
    "ObjectReference",
    "OwnerReference",
    "Pod",
    "PodIP",
    "PodSpec",
    "PodStatus",
    "ResourceRequirements",
    "Secret",
    "Service",
    "ServicePort",
    "ServiceSpec",
    "Taint",
    "Toleration",
    "pod_key",
]

JsonObject: TypeAlias = dict[str, Any]
"""Any JSON object whose shape is not ours to know."""


class OwnerReference(TypedDict, total=False):
    """`metav1.OwnerReference`."""

    apiVersion: str
    kind: str
    name: str
    uid: str
    controller: bool
    blockOwnerDeletion: bool


class ObjectMeta(TypedDict, total=False):
    """`metav1.ObjectMeta`."""

    name: str
    generateName: str
    namespace: str
    uid: str
    resourceVersion: str
    generation: int
    creationTimestamp: str
    deletionTimestamp: str
    deletionGracePeriodSeconds: int
    labels: dict[str, str]
    annotations: dict[str, str]
    finalizers: list[str]
    ownerReferences: list[OwnerReference]


class EnvVar(TypedDict, total=False):
    """`core/v1.EnvVar`; valueFrom holds one of configMapKeyRef, secretKeyRef, fieldRef, resourceFieldRef."""

    name: str
    value: str
    valueFrom: JsonObject


class EnvFromSource(TypedDict, total=False):
    """`core/v1.EnvFromSource`."""

    prefix: str
    configMapRef: JsonObject
    secretRef: JsonObject


class ContainerPort(TypedDict, total=False):
    """`core/v1.ContainerPort`."""

    name: str
    containerPort: int
    hostPort: int
    hostIP: str
    protocol: str


class ResourceRequirements(TypedDict, total=False):
    """`core/v1.ResourceRequirements`; values are quantities."""

    requests: dict[str, str]
    limits: dict[str, str]


class Container(TypedDict, total=False):
    """`core/v1.Container`, and `EphemeralContainer` with its targetContainerName."""

    name: str
    image: str
    command: list[str]
    args: list[str]
    workingDir: str
    env: list[EnvVar]
    envFrom: list[EnvFromSource]
    ports: list[ContainerPort]
    resources: ResourceRequirements
    volumeMounts: list[JsonObject]
    volumeDevices: list[JsonObject]
    livenessProbe: JsonObject
    readinessProbe: JsonObject
    startupProbe: JsonObject
    lifecycle: JsonObject
    restartPolicy: str
    restartPolicyRules: list[JsonObject]
    imagePullPolicy: str
    securityContext: JsonObject
    stdin: bool
    stdinOnce: bool
    tty: bool
    terminationMessagePath: str
    terminationMessagePolicy: str
    targetContainerName: str


class Toleration(TypedDict, total=False):
    """`core/v1.Toleration`."""

    key: str
    operator: str
    value: str
    effect: str
    tolerationSeconds: int


class PodSpec(TypedDict, total=False):
    """`core/v1.PodSpec`."""

    nodeName: str
    os: JsonObject
    containers: list[Container]
    initContainers: list[Container]
    ephemeralContainers: list[Container]
    volumes: list[JsonObject]
    restartPolicy: str
    terminationGracePeriodSeconds: int
    activeDeadlineSeconds: int
    serviceAccountName: str
    hostNetwork: bool
    hostPID: bool
    hostIPC: bool
    shareProcessNamespace: bool
    hostname: str
    subdomain: str
    setHostnameAsFQDN: bool
    dnsPolicy: str
    dnsConfig: JsonObject
    hostAliases: list[JsonObject]
    enableServiceLinks: bool
    imagePullSecrets: list[JsonObject]
    securityContext: JsonObject
    nodeSelector: dict[str, str]
    affinity: JsonObject
    tolerations: list[Toleration]
    readinessGates: list[JsonObject]
    overhead: dict[str, str]
    resources: ResourceRequirements


class ContainerStateWaiting(TypedDict, total=False):
    """`core/v1.ContainerStateWaiting`."""

    reason: str
    message: str


class ContainerStateRunning(TypedDict, total=False):
    """`core/v1.ContainerStateRunning`."""

    startedAt: str


class ContainerStateTerminated(TypedDict, total=False):
    """`core/v1.ContainerStateTerminated`."""

    exitCode: int
    signal: int
    reason: str
    message: str
    startedAt: str
    finishedAt: str
    containerID: str


class ContainerState(TypedDict, total=False):
    """`core/v1.ContainerState`: one of the three."""

    waiting: ContainerStateWaiting
    running: ContainerStateRunning
    terminated: ContainerStateTerminated


class ContainerStatus(TypedDict, total=False):
    """`core/v1.ContainerStatus`."""

    name: str
    state: ContainerState
    lastState: ContainerState
    ready: bool
    started: bool
    restartCount: int
    image: str
    imageID: str
    containerID: str


class Condition(TypedDict, total=False):
    """`core/v1.PodCondition` and `core/v1.NodeCondition`."""

    type: str
    status: str
    reason: str
    message: str
    observedGeneration: int
    lastTransitionTime: str
    lastProbeTime: str
    lastHeartbeatTime: str


class PodIP(TypedDict, total=False):
    """`core/v1.PodIP` and `core/v1.HostIP`."""

    ip: str


class PodStatus(TypedDict, total=False):
    """`core/v1.PodStatus`."""

    phase: str
    reason: str
    message: str
    conditions: list[Condition]
    hostIP: str
    hostIPs: list[PodIP]
    podIP: str
    podIPs: list[PodIP]
    startTime: str
    qosClass: str
    observedGeneration: int
    containerStatuses: list[ContainerStatus]
    initContainerStatuses: list[ContainerStatus]
    ephemeralContainerStatuses: list[ContainerStatus]


class Pod(TypedDict, total=False):
    """`core/v1.Pod`."""

    apiVersion: str
    kind: str
    metadata: ObjectMeta
    spec: PodSpec
    status: PodStatus


class Taint(TypedDict, total=False):
    """`core/v1.Taint`."""

    key: str
    value: str
    effect: str
    timeAdded: str


class NodeAddress(TypedDict, total=False):
    """`core/v1.NodeAddress`."""

    type: str
    address: str


class NodeSpec(TypedDict, total=False):
    """`core/v1.NodeSpec`."""

    providerID: str
    taints: list[Taint]
    unschedulable: bool


class NodeStatus(TypedDict, total=False):
    """`core/v1.NodeStatus`."""

    phase: str
    capacity: dict[str, str]
    allocatable: dict[str, str]
    conditions: list[Condition]
    addresses: list[NodeAddress]
    daemonEndpoints: JsonObject
    nodeInfo: JsonObject
    features: JsonObject
    declaredFeatures: list[str]


class Node(TypedDict, total=False):
    """`core/v1.Node`."""

    apiVersion: str
    kind: str
    metadata: ObjectMeta
    spec: NodeSpec
    status: NodeStatus


class LeaseSpec(TypedDict, total=False):
    """`coordination.k8s.io/v1.LeaseSpec`; the times are MicroTime with six digits of fraction."""

    holderIdentity: str
    leaseDurationSeconds: int
    acquireTime: str
    renewTime: str
    leaseTransitions: int


class Lease(TypedDict, total=False):
    """`coordination.k8s.io/v1.Lease`."""

    apiVersion: str
    kind: str
    metadata: ObjectMeta
    spec: LeaseSpec


class ObjectReference(TypedDict, total=False):
    """`core/v1.ObjectReference`."""

    apiVersion: str
    kind: str
    namespace: str
    name: str
    uid: str
    resourceVersion: str
    fieldPath: str


class Event(TypedDict, total=False):
    """`core/v1.Event`."""

    apiVersion: str
    kind: str
    metadata: ObjectMeta
    involvedObject: ObjectReference
    type: str
    reason: str
    message: str
    count: int
    firstTimestamp: str
    lastTimestamp: str
    source: dict[str, str]
    reportingComponent: str
    reportingInstance: str


class ConfigMap(TypedDict, total=False):
    """`core/v1.ConfigMap`; binaryData is base64."""

    metadata: ObjectMeta
    data: dict[str, str]
    binaryData: dict[str, str]
    immutable: bool


class Secret(TypedDict, total=False):
    """`core/v1.Secret`; data is base64."""

    metadata: ObjectMeta
    data: dict[str, str]
    type: str
    immutable: bool


class ServicePort(TypedDict, total=False):
    """`core/v1.ServicePort`."""

    name: str
    port: int
    protocol: str


class ServiceSpec(TypedDict, total=False):
    """`core/v1.ServiceSpec`."""

    clusterIP: str
    ports: list[ServicePort]


class Service(TypedDict, total=False):
    """`core/v1.Service`."""

    metadata: ObjectMeta
    spec: ServiceSpec


def pod_key(pod: Pod) -> str:
    """Return `namespace/name` of a pod, the key that queues and stores carry."""
    metadata = pod["metadata"]
    return f"{metadata['namespace']}/{metadata['name']}"
