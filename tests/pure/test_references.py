from __future__ import annotations

import pytest

from virtual_kubelet.pure.references import CONFIG_MAP, SECRET, Reference, containers_of, references


def pod(**spec):
    return {"metadata": {"namespace": "ns", "name": "p"}, "spec": spec}


def config_map(name, *, optional=False):
    return Reference(CONFIG_MAP, "ns", name, optional)


def secret(name, *, optional=False):
    return Reference(SECRET, "ns", name, optional)


def env(**value_from):
    return {"name": "X", "valueFrom": value_from}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, []),
        ({"containers": [{"name": "a"}], "volumes": None, "imagePullSecrets": None}, []),
        ({"containers": [{"envFrom": [{"configMapRef": {"name": "m"}}, {"secretRef": {"name": "s", "optional": True}}]}]}, [config_map("m"), secret("s", optional=True)]),
        ({"containers": [{"env": [env(configMapKeyRef={"name": "m", "key": "k", "optional": True}), env(secretKeyRef={"name": "s", "key": "k"})]}]}, [config_map("m", optional=True), secret("s")]),
        ({"containers": [{"env": [{"name": "A", "value": "1"}, env(fieldRef={"fieldPath": "metadata.name"})]}]}, []),
        ({"initContainers": [{"envFrom": [{"configMapRef": {"name": "i"}}]}], "ephemeralContainers": [{"envFrom": [{"secretRef": {"name": "e"}}]}]}, [config_map("i"), secret("e")]),
        ({"volumes": [{"name": "v", "configMap": {"name": "m"}}, {"name": "w", "secret": {"secretName": "s", "optional": True}}, {"name": "x", "emptyDir": {}}]}, [config_map("m"), secret("s", optional=True)]),
        ({"volumes": [{"name": "v", "projected": {"sources": [{"configMap": {"name": "kube-root-ca.crt"}}, {"secret": {"name": "s"}}, {"serviceAccountToken": {"path": "token"}}]}}]}, [config_map("kube-root-ca.crt"), secret("s")]),
        ({"volumes": [{"name": "v", "projected": {"sources": None}}]}, []),
        ({"volumes": [{"name": "v", "azureFile": {"secretName": "s", "shareName": "x"}}]}, [secret("s")]),
        ({"volumes": [{"name": "v", "csi": {"driver": "d", "nodePublishSecretRef": {"name": "s"}}}, {"name": "c", "cephfs": {"secretRef": {"name": "t"}}}, {"name": "n", "rbd": {"secretRef": None}}]}, [secret("s"), secret("t")]),
        ({"imagePullSecrets": [{"name": "pull"}, {}]}, [secret("pull", optional=True)]),
        # several mentions: one mandatory is enough
        ({"containers": [{"env": [env(configMapKeyRef={"name": "m", "optional": True}), env(configMapKeyRef={"name": "m"}), env(configMapKeyRef={"name": "m", "optional": True})]}]}, [config_map("m")]),
        ({"imagePullSecrets": [{"name": "s"}], "volumes": [{"name": "w", "secret": {"secretName": "s"}}]}, [secret("s")]),
    ],
)  # fmt: skip
def test_references(spec, expected):
    assert references(pod(**spec)) == expected


def test_containers_in_the_order_in_which_they_start():
    spec = {
        "containers": [{"name": "b"}],
        "initContainers": [{"name": "a"}],
        "ephemeralContainers": [{"name": "c"}],
    }
    assert [container["name"] for container in containers_of(pod(**spec))] == ["a", "b", "c"]
