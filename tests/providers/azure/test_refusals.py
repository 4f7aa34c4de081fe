from __future__ import annotations

import pytest
from support.pods import make_pod

from virtual_kubelet.errors import InvalidInput
from virtual_kubelet.providers.azure.refusals import check, notes

MAIN = {"name": "main", "image": "i"}


def refuse(pod, confidential=False):
    with pytest.raises(InvalidInput) as caught:
        check(pod, operating_system="Linux", confidential=confidential)
    return str(caught.value)


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"hostNetwork": True}, "spec.hostNetwork"),
        ({"hostPID": True}, "spec.hostPID"),
        ({"hostIPC": True}, "spec.hostIPC"),
        ({"shareProcessNamespace": True}, "spec.shareProcessNamespace"),
        ({"hostAliases": [{"ip": "1.1.1.1"}]}, "spec.hostAliases"),
        ({"resourceClaims": [{"name": "x"}]}, "spec.resourceClaims"),
        ({"ephemeralContainers": [MAIN]}, "spec.ephemeralContainers"),
        ({"os": {"name": "windows"}}, "spec.os.name"),
        ({"securityContext": {"sysctls": [{"name": "a", "value": "b"}]}}, "spec.securityContext.sysctls"),
    ],
)
def test_pods(spec, path):
    assert f"{path}: " in refuse(make_pod(**spec))


@pytest.mark.parametrize(
    ("field", "path"),
    [
        ({"args": ["x"]}, "args"),
        ({"workingDir": "/x"}, "workingDir"),
        ({"startupProbe": {"exec": {}}}, "startupProbe"),
        ({"lifecycle": {"preStop": {}}}, "lifecycle"),
        ({"volumeDevices": [{}]}, "volumeDevices"),
        ({"restartPolicy": "Always"}, "restartPolicy"),
        ({"ports": [{"containerPort": 80, "hostPort": 80}]}, "ports[0].hostPort"),
        ({"ports": [{"containerPort": 80}, {"containerPort": 81, "protocol": "SCTP"}]}, "ports[1].protocol"),
        ({"volumeMounts": [{"name": "v", "mountPath": "/m", "subPath": "x"}]}, "volumeMounts[0].subPath"),
        (
            {"volumeMounts": [{"name": "v", "mountPath": "/m", "subPathExpr": "x"}]},
            "volumeMounts[0].subPathExpr",
        ),
        (
            {"volumeMounts": [{"name": "v", "mountPath": "/m", "mountPropagation": "HostToContainer"}]},
            "volumeMounts[0].mountPropagation",
        ),
        (
            {"volumeMounts": [{"name": "v", "mountPath": "/m", "recursiveReadOnly": "Enabled"}]},
            "volumeMounts[0].recursiveReadOnly",
        ),
        ({"securityContext": {"privileged": True}}, "securityContext.privileged"),
    ],
)
def test_containers_and_init_containers(field, path):
    assert f"spec.containers[1].{path}: " in refuse(make_pod(containers=[MAIN, {**MAIN, **field}]))
    assert f"spec.initContainers[0].{path}: " in refuse(make_pod(initContainers=[{**MAIN, **field}]))


@pytest.mark.parametrize(
    "field",
    [
        {"ports": [{"containerPort": 80}]},
        {"livenessProbe": {"exec": {}}},
        {"readinessProbe": {"exec": {}}},
        {"resources": {"requests": {"cpu": "1"}}},
        {"resources": {"limits": {"cpu": "1"}}},
    ],
)
def test_init_containers_alone(field):
    assert "spec.initContainers[0]." in refuse(make_pod(initContainers=[{**MAIN, **field}]))


def test_everything_is_named_at_once():
    text = refuse(make_pod(hostPID=True, containers=[{**MAIN, "args": ["x"], "workingDir": "/"}]))
    for path in ("spec.hostPID", "spec.containers[0].args", "spec.containers[0].workingDir"):
        assert path in text


def test_what_the_api_server_fills_in_is_no_reason():
    container = {
        **MAIN,
        "command": ["a"],
        "args": ["b"],
        "imagePullPolicy": "Always",
        "terminationMessagePath": "/dev/termination-log",
        "volumeMounts": [{"name": "v", "mountPath": "/m", "recursiveReadOnly": "Disabled"}],
    }
    pod = make_pod(
        containers=[container],
        securityContext={},
        dnsPolicy="ClusterFirst",
        hostname="web-0",
        subdomain="web",
        os={"name": "linux"},
        shareProcessNamespace=False,
    )
    check(pod, operating_system="Linux", confidential=False)
    assert notes(pod, confidential=False) == []


def test_confidential_groups_can_be_privileged():
    pod = make_pod(containers=[{**MAIN, "securityContext": {"privileged": True}}])
    check(pod, operating_system="Linux", confidential=True)


def test_what_is_not_enforced_is_noted():
    context = {
        "runAsNonRoot": True,
        "runAsUser": 1000,
        "readOnlyRootFilesystem": True,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
        "privileged": False,
    }
    pod = make_pod(
        containers=[{**MAIN, "securityContext": context, "stdin": True, "imagePullPolicy": "Never"}],
        securityContext={"fsGroup": 1, "runAsNonRoot": False},
        volumes=[{"name": "v", "emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}}],
    )
    container = "spec.containers[0]"
    assert notes(pod, confidential=False) == [
        "spec.securityContext.fsGroup",
        f"{container}.securityContext.runAsNonRoot",
        f"{container}.securityContext.runAsUser",
        f"{container}.securityContext.capabilities",
        f"{container}.securityContext.allowPrivilegeEscalation",
        f"{container}.securityContext.readOnlyRootFilesystem",
        f"{container}.stdin",
        f"{container}.imagePullPolicy",
        "spec.volumes[0].emptyDir.medium",
        "spec.volumes[0].emptyDir.sizeLimit",
    ]
    assert f"{container}.securityContext.runAsUser" not in notes(pod, confidential=True)
