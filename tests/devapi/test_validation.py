"""What the rules of each kind refuse, without a server."""

from __future__ import annotations

import pytest

from virtual_kubelet.devapi.registry.table import KINDS
from virtual_kubelet.devapi.schema.conform import conform
from virtual_kubelet.devapi.schema.model import message_of


def complaints(plural, obj, group=""):
    """Return what is wrong with a new object, by field."""
    kind = KINDS.find(group, "v1", plural)
    obj = conform({"metadata": {"name": "x", "namespace": "default"}, **obj}, message_of(group, kind.kind))[0]
    kind.strategy.default(obj)
    return {complaint.field: complaint.message for complaint in kind.strategy.validate(obj)}


def container(**fields):
    return {"name": "main", "image": "nginx", **fields}


def spec(**fields):
    return {"containers": [container()], **fields}


def one(**fields):
    return {"containers": [container(**fields)]}


def env(**variable):
    return one(env=[variable])


def volume(**source):
    return spec(volumes=[{"name": "v", **source}])


def affinity(*terms):
    required = {"nodeSelectorTerms": list(terms)}
    return spec(affinity={"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}})


TERMS = "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms"
C = "spec.containers[0]"
V = "spec.volumes[0]"

PODS = [
    # Containers
    ({"containers": []}, "spec.containers", "Required value"),
    ({"containers": [{"name": "main"}]}, f"{C}.image", "Required value"),
    ({"containers": [{"image": "nginx"}]}, f"{C}.name", "Required value"),
    (one(name="Main"), f"{C}.name", 'Invalid value: "Main"'),
    ({"containers": [container(), container()]}, "spec.containers[1].name", 'Duplicate value: "main"'),
    (spec(initContainers=[container()]), f"{C}.name", "Duplicate value"),
    (one(image=" nginx"), f"{C}.image", "must not have leading or trailing whitespace"),
    (
        one(imagePullPolicy="Sometimes"),
        f"{C}.imagePullPolicy",
        'Unsupported value: "Sometimes": supported values: "Always"',
    ),
    (one(terminationMessagePolicy="X"), f"{C}.terminationMessagePolicy", "Unsupported value"),
    (
        spec(ephemeralContainers=[container(name="b")]),
        "spec.ephemeralContainers",
        "Forbidden: cannot be set on create",
    ),
    # Ports
    (
        one(ports=[{"containerPort": 70000}]),
        f"{C}.ports[0].containerPort",
        "must be between 1 and 65535, inclusive",
    ),
    (one(ports=[{}]), f"{C}.ports[0].containerPort", "Required value"),
    (one(ports=[{"containerPort": 80, "hostPort": -1}]), f"{C}.ports[0].hostPort", "must be between"),
    (one(ports=[{"containerPort": 80, "protocol": "ICMP"}]), f"{C}.ports[0].protocol", "Unsupported value"),
    (one(ports=[{"containerPort": 80, "name": "UPPER"}]), f"{C}.ports[0].name", "Invalid value"),
    (one(ports=[{"containerPort": n, "name": "a"} for n in (1, 2)]), f"{C}.ports[1].name", "Duplicate value"),
    (
        one(ports=[{"containerPort": n, "hostPort": 9} for n in (1, 2)]),
        f"{C}.ports[1].hostPort",
        "Duplicate value",
    ),
    (
        {**one(ports=[{"containerPort": 80, "hostPort": 81}]), "hostNetwork": True},
        f"{C}.ports[0].containerPort",
        "must match `hostPort` when `hostNetwork` is true",
    ),
    # Environment
    (env(value="x"), f"{C}.env[0].name", "Required value"),
    (env(name="a=b"), f"{C}.env[0].name", "must consist only of printable ASCII"),
    (env(name="A", valueFrom={}), f"{C}.env[0].valueFrom", "must specify one of"),
    (
        env(name="A", value="x", valueFrom={"fieldRef": {"fieldPath": "metadata.name"}}),
        f"{C}.env[0].valueFrom",
        "may not be specified when `value` is not empty",
    ),
    (
        env(
            name="A",
            valueFrom={"fieldRef": {"fieldPath": "metadata.name"}, "secretKeyRef": {"name": "a", "key": "b"}},
        ),
        f"{C}.env[0].valueFrom",
        "may not have more than one field specified at a time",
    ),
    (env(name="A", valueFrom={"fieldRef": {}}), f"{C}.env[0].valueFrom.fieldRef.fieldPath", "Required value"),
    (
        env(name="A", valueFrom={"fieldRef": {"fieldPath": "spec.image"}}),
        f"{C}.env[0].valueFrom.fieldRef.fieldPath",
        "Unsupported value",
    ),
    (
        env(name="A", valueFrom={"fieldRef": {"fieldPath": "metadata.labels['not a key']"}}),
        f"{C}.env[0].valueFrom.fieldRef",
        "Invalid value",
    ),
    (
        env(name="A", valueFrom={"resourceFieldRef": {"resource": "limits.gold"}}),
        f"{C}.env[0].valueFrom.resourceFieldRef.resource",
        "Unsupported value",
    ),
    (
        env(name="A", valueFrom={"resourceFieldRef": {}}),
        f"{C}.env[0].valueFrom.resourceFieldRef.resource",
        "Required value",
    ),
    (
        env(name="A", valueFrom={"secretKeyRef": {"key": "b"}}),
        f"{C}.env[0].valueFrom.secretKeyRef.name",
        "Required",
    ),
    (
        env(name="A", valueFrom={"configMapKeyRef": {"name": "b"}}),
        f"{C}.env[0].valueFrom.configMapKeyRef.key",
        "Required",
    ),
    (
        env(name="A", valueFrom={"configMapKeyRef": {"name": "b", "key": "a/b"}}),
        f"{C}.env[0].valueFrom.configMapKeyRef.key",
        "Invalid value",
    ),
    (one(envFrom=[{}]), f"{C}.envFrom[0]", "must specify one of: `configMapRef` or `secretRef`"),
    (one(envFrom=[{"configMapRef": {}}]), f"{C}.envFrom[0].configMapRef.name", "Required value"),
    (
        one(envFrom=[{"configMapRef": {"name": "a"}, "secretRef": {"name": "a"}}]),
        f"{C}.envFrom[0]",
        "more than one",
    ),
    (one(envFrom=[{"prefix": "=", "secretRef": {"name": "a"}}]), f"{C}.envFrom[0].prefix", "Invalid value"),
    # Mounts
    (one(volumeMounts=[{"name": "no", "mountPath": "/x"}]), f"{C}.volumeMounts[0].name", 'Not found: "no"'),
    (one(volumeMounts=[{"mountPath": "/x"}]), f"{C}.volumeMounts[0].name", "Required value"),
    (one(volumeMounts=[{"name": "no"}]), f"{C}.volumeMounts[0].mountPath", "Required value"),
    (
        one(volumeMounts=[{"name": "a", "mountPath": "/x"}] * 2),
        f"{C}.volumeMounts[1].mountPath",
        "must be unique",
    ),
    (
        one(volumeMounts=[{"name": "a", "mountPath": "/x", "subPath": "../y"}]),
        f"{C}.volumeMounts[0].subPath",
        "must not contain '..'",
    ),
    (
        one(volumeMounts=[{"name": "a", "mountPath": "/x", "subPath": "/y"}]),
        f"{C}.volumeMounts[0].subPath",
        "must be a relative path",
    ),
    (
        one(volumeMounts=[{"name": "a", "mountPath": "/x", "subPath": "y", "subPathExpr": "z"}]),
        f"{C}.volumeMounts[0].subPathExpr",
        "mutually exclusive",
    ),
    # Resources
    (
        one(resources={"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}),
        f"{C}.resources.requests",
        'Invalid value: "2": must be less than or equal to cpu limit of 1',
    ),
    (
        one(resources={"requests": {"cpu": "-1"}}),
        f"{C}.resources.requests.cpu",
        "must be greater than or equal to 0",
    ),
    (
        one(resources={"requests": {"gold": "1"}}),
        f"{C}.resources.requests.gold",
        "must be a standard resource type",
    ),
    (one(resources={"requests": {"not a name": "1"}}), f"{C}.resources.requests", "Invalid value"),
    (
        one(resources={"requests": {"a.com/gpu": "1"}}),
        f"{C}.resources.limits",
        "non overcommitable resources",
    ),
    (
        spec(resources={"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}),
        "spec.resources.requests",
        "cpu limit of 1",
    ),
    # Probes and hooks
    (one(livenessProbe={}), f"{C}.livenessProbe", "must specify a handler type"),
    (
        one(livenessProbe={"exec": {"command": ["x"]}, "successThreshold": 2}),
        f"{C}.livenessProbe.successThreshold",
        "must be 1",
    ),
    (
        one(readinessProbe={"exec": {"command": ["x"]}, "periodSeconds": -1}),
        f"{C}.readinessProbe.periodSeconds",
        "must be greater than or equal to 0",
    ),
    (
        one(livenessProbe={"exec": {"command": ["x"]}, "terminationGracePeriodSeconds": 0}),
        f"{C}.livenessProbe.terminationGracePeriodSeconds",
        "must be greater than 0",
    ),
    (one(startupProbe={"exec": {}}), f"{C}.startupProbe.exec.command", "Required value"),
    (one(startupProbe={"httpGet": {"port": 0}}), f"{C}.startupProbe.httpGet.port", "must be between"),
    (one(startupProbe={"httpGet": {"port": "UP"}}), f"{C}.startupProbe.httpGet.port", "Invalid value"),
    (
        one(startupProbe={"httpGet": {"port": 1, "scheme": "FTP"}}),
        f"{C}.startupProbe.httpGet.scheme",
        "Unsupported",
    ),
    (one(startupProbe={"tcpSocket": {"port": 0}}), f"{C}.startupProbe.tcpSocket.port", "must be between"),
    (one(startupProbe={"grpc": {"port": 0}}), f"{C}.startupProbe.grpc.port", "must be between"),
    (
        one(startupProbe={"exec": {"command": ["x"]}, "grpc": {"port": 1}}),
        f"{C}.startupProbe.grpc",
        "may not specify more than 1 handler type",
    ),
    (one(lifecycle={"preStop": {}}), f"{C}.lifecycle.preStop", "must specify a handler type"),
    (
        one(lifecycle={"preStop": {"sleep": {"seconds": -1}}}),
        f"{C}.lifecycle.preStop.sleep",
        "must be non-negative",
    ),
    (
        spec(initContainers=[container(name="i", livenessProbe={"exec": {"command": ["x"]}})]),
        "spec.initContainers[0].livenessProbe",
        "may not be set for init containers without restartPolicy=Always",
    ),
    (
        spec(initContainers=[container(name="i", restartPolicy="Maybe")]),
        "spec.initContainers[0].restartPolicy",
        "Unsupported value",
    ),
    # Volumes
    (
        volume(emptyDir={}, configMap={"name": "x"}),
        f"{V}.configMap",
        "may not specify more than 1 volume type",
    ),
    (volume(configMap={}), f"{V}.configMap.name", "Required value"),
    (volume(secret={}), f"{V}.secret.secretName", "Required value"),
    (
        volume(secret={"secretName": "x", "defaultMode": 0o1000}),
        f"{V}.secret.defaultMode",
        "between 0 and 0777",
    ),
    (
        volume(secret={"secretName": "x", "items": [{"key": "a"}]}),
        f"{V}.secret.items[0].path",
        "Required value",
    ),
    (
        volume(secret={"secretName": "x", "items": [{"key": "a", "path": "../b"}]}),
        f"{V}.secret.items[0].path",
        "must not contain '..'",
    ),
    (volume(hostPath={}), f"{V}.hostPath.path", "Required value"),
    (volume(hostPath={"path": "/", "type": "Disk"}), f"{V}.hostPath.type", "Unsupported value"),
    (volume(downwardAPI={"items": [{}]}), f"{V}.downwardAPI.items[0].path", "Required value"),
    (
        volume(downwardAPI={"items": [{"path": "a"}]}),
        f"{V}.downwardAPI.items[0]",
        "one of fieldRef and resourceFieldRef",
    ),
    (
        volume(downwardAPI={"items": [{"path": "a", "resourceFieldRef": {"resource": "limits.cpu"}}]}),
        f"{V}.downwardAPI.items[0].resourceFieldRef.containerName",
        "Required value",
    ),
    (
        volume(projected={"sources": [{"secret": {}}]}),
        f"{V}.projected.sources[0].secret.name",
        "Required value",
    ),
    (
        volume(projected={"sources": [{"secret": {"name": "a"}, "configMap": {"name": "a"}}]}),
        f"{V}.projected.sources[0]",
        "may not specify more than 1 volume type per source",
    ),
    (
        volume(projected={"sources": [{"serviceAccountToken": {"path": "t", "expirationSeconds": 5}}]}),
        f"{V}.projected.sources[0].serviceAccountToken.expirationSeconds",
        "less than 10 minutes",
    ),
    (
        volume(projected={"sources": [{"serviceAccountToken": {"path": "t", "expirationSeconds": 1 << 33}}]}),
        f"{V}.projected.sources[0].serviceAccountToken.expirationSeconds",
        "larger than 2^32 seconds",
    ),
    (spec(volumes=[{"name": "V"}]), f"{V}.name", "Invalid value"),
    (spec(volumes=[{}]), f"{V}.name", "Required value"),
    (spec(volumes=[{"name": "a"}, {"name": "a"}]), "spec.volumes[1].name", "Duplicate value"),
    # The pod
    (spec(restartPolicy="Maybe"), "spec.restartPolicy", "Unsupported value"),
    (spec(dnsPolicy="Maybe"), "spec.dnsPolicy", "Unsupported value"),
    (spec(dnsPolicy="None"), "spec.dnsConfig.nameservers", "must provide at least one DNS nameserver"),
    (
        spec(terminationGracePeriodSeconds=-1),
        "spec.terminationGracePeriodSeconds",
        "must be greater than or equal",
    ),
    (
        spec(activeDeadlineSeconds=0),
        "spec.activeDeadlineSeconds",
        "must be between 1 and 2147483647, inclusive",
    ),
    (spec(shareProcessNamespace=True, hostPID=True), "spec.shareProcessNamespace", "cannot both be enabled"),
    (spec(nodeName="No_Node"), "spec.nodeName", "Invalid value"),
    (spec(hostname="a.b"), "spec.hostname", "must not contain dots"),
    (spec(nodeSelector={"not a key": "x"}), "spec.nodeSelector", "Invalid value"),
    (
        spec(readinessGates=[{"conditionType": "not a type"}]),
        "spec.readinessGates[0].conditionType",
        "Invalid value",
    ),
    (affinity(), TERMS, "must have at least one node selector term"),
    (
        affinity({"matchExpressions": [{"key": "a", "operator": "Like"}]}),
        f"{TERMS}[0].matchExpressions[0].operator",
        "not a valid selector operator",
    ),
    (
        affinity({"matchExpressions": [{"key": "a", "operator": "In"}]}),
        f"{TERMS}[0].matchExpressions[0].values",
        "must be specified when `operator` is 'In' or 'NotIn'",
    ),
    (
        affinity({"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["b"]}]}),
        f"{TERMS}[0].matchExpressions[0].values",
        "may not be specified",
    ),
    (
        affinity({"matchExpressions": [{"key": "a", "operator": "Gt", "values": ["1", "2"]}]}),
        f"{TERMS}[0].matchExpressions[0].values",
        "single value",
    ),
    (spec(tolerations=[{"operator": "Equal"}]), "spec.tolerations[0].operator", "operator must be Exists"),
    (
        spec(tolerations=[{"key": "a", "operator": "Like"}]),
        "spec.tolerations[0].operator",
        "Unsupported value",
    ),
    (
        spec(tolerations=[{"key": "a", "operator": "Exists", "value": "b"}]),
        "spec.tolerations[0].operator",
        "must be empty",
    ),
    (spec(tolerations=[{"key": "a", "effect": "Never"}]), "spec.tolerations[0].effect", "Unsupported value"),
    (
        spec(tolerations=[{"key": "a", "tolerationSeconds": 1}]),
        "spec.tolerations[0].effect",
        "must be 'NoExecute'",
    ),
]


@pytest.mark.parametrize(
    ("given", "field", "message"), PODS, ids=[f"{i}-{field}" for i, (_, field, _) in enumerate(PODS)]
)
def test_pods(given, field, message):
    found = complaints("pods", {"spec": given})
    assert field in found
    assert message in found[field]


GOOD = [
    spec(),
    one(ports=[{"containerPort": 53, "protocol": "UDP"}, {"containerPort": 53}]),
    env(name="any thing", valueFrom={"fieldRef": {"fieldPath": "metadata.annotations['A.b/c']"}}),
    env(name="A", valueFrom={"resourceFieldRef": {"resource": "limits.hugepages-2Mi"}}),
    one(livenessProbe={"httpGet": {"port": "http"}}, lifecycle={"preStop": {"sleep": {"seconds": 1}}}),
    one(startupProbe={"tcpSocket": {"port": 1}}, readinessProbe={"grpc": {"port": 1}, "successThreshold": 3}),
    one(resources={"requests": {"cpu": "1", "a.com/gpu": "1"}, "limits": {"cpu": "1000m", "a.com/gpu": "1"}}),
    one(envFrom=[{"prefix": "A_", "configMapRef": {"name": "a"}}, {"secretRef": {"name": "a"}}]),
    spec(
        initContainers=[
            container(name="i", restartPolicy="Always", livenessProbe={"exec": {"command": ["x"]}})
        ]
    ),
    {
        "volumes": [{"name": "v"}, {"name": "w", "hostPath": {"path": "/x"}}],
        "containers": [container(volumeMounts=[{"name": "v", "mountPath": "/a", "subPathExpr": "$(A)/b"}])],
    },
    volume(downwardAPI={"items": [{"path": "a/b", "fieldRef": {"fieldPath": "metadata.labels"}}]}),
    volume(projected={"sources": [{"serviceAccountToken": {"path": "t"}}, {"configMap": {"name": "a"}}]}),
    affinity({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["b"]}]}),
    spec(
        tolerations=[
            {"operator": "Exists"},
            {"key": "a", "value": "b", "effect": "NoExecute", "tolerationSeconds": 0},
        ]
    ),
    spec(dnsPolicy="None", dnsConfig={"nameservers": ["1.1.1.1"]}),
]


@pytest.mark.parametrize("given", GOOD)
def test_pods_that_are_fine(given):
    assert complaints("pods", {"spec": given}) == {}


OTHERS = [
    ("nodes", "", {"spec": {"taints": [{"key": "a b", "effect": "NoSchedule"}]}}, "spec.taints[0].key"),
    (
        "nodes",
        "",
        {"spec": {"taints": [{"key": "a", "value": "b c", "effect": "NoSchedule"}]}},
        "spec.taints[0].value",
    ),
    ("nodes", "", {"spec": {"taints": [{"key": "a"}]}}, "spec.taints[0].effect"),
    ("nodes", "", {"spec": {"taints": [{"key": "a", "effect": "Never"}]}}, "spec.taints[0].effect"),
    ("nodes", "", {"spec": {"taints": [{"key": "a", "effect": "NoSchedule"}] * 2}}, "spec.taints[1]"),
    ("nodes", "", {"status": {"capacity": {"cpu": "-1"}}}, "status.capacity.cpu"),
    ("nodes", "", {"status": {"allocatable": {"a b": "1"}}}, "status.allocatable.a b"),
    ("configmaps", "", {"data": {"a/b": ""}}, "data[a/b]"),
    ("configmaps", "", {"data": {"a": "b"}, "binaryData": {"a": "Yg=="}}, "data[a]"),
    ("configmaps", "", {"data": {"a": "b" * (1 << 20) + "c"}}, ""),
    ("secrets", "", {"data": {"a/b": ""}}, "data[a/b]"),
    ("secrets", "", {"type": "kubernetes.io/dockerconfigjson"}, "data[.dockerconfigjson]"),
    ("secrets", "", {"stringData": {"a": "b" * (1 << 20) + "c"}}, "data"),
    ("services", "", {"spec": {"ports": []}}, "spec.ports"),
    ("services", "", {"spec": {"type": "Magic", "ports": [{"port": 1}]}}, "spec.type"),
    ("services", "", {"spec": {"type": "ExternalName"}}, "spec.externalName"),
    ("services", "", {"spec": {"ports": [{"port": 0}]}}, "spec.ports[0].port"),
    ("services", "", {"spec": {"ports": [{"port": 1, "protocol": "ICMP"}]}}, "spec.ports[0].protocol"),
    ("services", "", {"spec": {"ports": [{"port": 1}, {"port": 2, "name": "b"}]}}, "spec.ports[0].name"),
    (
        "services",
        "",
        {"spec": {"ports": [{"port": 1, "name": "a"}, {"port": 2, "name": "a"}]}},
        "spec.ports[1].name",
    ),
    ("leases", "coordination.k8s.io", {"spec": {"leaseDurationSeconds": 0}}, "spec.leaseDurationSeconds"),
    ("leases", "coordination.k8s.io", {"spec": {"leaseTransitions": -1}}, "spec.leaseTransitions"),
    ("leases", "coordination.k8s.io", {"spec": {"holderIdentity": ""}}, "spec.holderIdentity"),
    ("events", "", {"involvedObject": {"namespace": "other"}}, "involvedObject.namespace"),
]


@pytest.mark.parametrize(("plural", "group", "given", "field"), OTHERS)
def test_others(plural, group, given, field):
    assert field in complaints(plural, given, group)


def test_the_newer_form_of_events_says_more():
    about = {"namespace": "default"}
    event = {
        "involvedObject": about,
        "eventTime": "2026-01-02T03:04:05.000000Z",
        "type": "Bad",
        "message": "x" * 1025,
    }
    assert set(complaints("events", event)) == {
        *("reportingController", "reportingInstance", "action", "reason", "message", "type"),
    }


@pytest.mark.parametrize(
    ("plural", "old", "new", "field"),
    [
        ("nodes", {"spec": {"providerID": "a"}}, {"spec": {"providerID": "b"}}, "spec.providerID"),
        ("nodes", {"spec": {"podCIDRs": ["10.0.0.0/8"]}}, {"spec": {}}, "spec.podCIDRs"),
        ("secrets", {"type": "Opaque"}, {"type": "other"}, "type"),
        ("configmaps", {"immutable": True}, {"immutable": False}, "immutable"),
        (
            "services",
            {"spec": {"clusterIP": "10.96.0.5"}},
            {"spec": {"clusterIP": "10.96.0.6"}},
            "spec.clusterIPs[0]",
        ),
    ],
)
def test_changes(plural, old, new, field):
    strategy = KINDS.find("", "v1", plural).strategy
    held, wanted = ({"metadata": {}, **each} for each in (old, new))
    assert field in {complaint.field for complaint in strategy.validate_update(wanted, held)}


def test_addresses_of_a_node_are_told_once():
    rules = KINDS.find("", "v1", "nodes").subresource("status").rules
    status = {"addresses": [{"type": "InternalIP", "address": "10.0.0.1"}] * 2}
    found = rules.validate_update({"metadata": {}, "status": status}, {})
    assert [complaint.field for complaint in found] == ["status.addresses[1]"]
