"""ConfigMaps, Secrets, the downward API and tokens in pods, as the documentation of Kubernetes shows them."""

from __future__ import annotations

import base64
import json

import pytest
from support.example_site import PATIENCE
from support.waiting import eventually

pytestmark = [pytest.mark.live, pytest.mark.slow]


def config_map(name, /, **data):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def secret(name, /, **data):
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data}


def mounts(*paths, name="v"):
    return [{"name": name, "mountPath": path} for path in paths]


def variable(name, **source):
    return {"name": name, "valueFrom": source}


def printed(site, name, script, *, volumes=(), **fields):
    """Return what a container of a pod that ends by itself prints."""
    site.apply(site.pod(name, site.container(script, **fields), restartPolicy="Never", volumes=list(volumes)))
    site.ends(name)
    return site.kube("logs", name)


def test_config_maps_as_variables(site):
    """One key, all keys with a prefix, and use of a variable in the command."""
    site.apply(
        config_map("special-config", SPECIAL_LEVEL="very", SPECIAL_TYPE="charm"),
        config_map("env-config", log_level="INFO"),
    )
    text = printed(
        site,
        "dapi-test-pod",
        "echo $(SPECIAL_LEVEL_KEY) $(MISSING) '$$(SPECIAL_LEVEL_KEY)';"
        " echo $LOG_LEVEL $special_SPECIAL_TYPE [$ABSENT]",
        env=[
            variable("SPECIAL_LEVEL_KEY", configMapKeyRef={"name": "special-config", "key": "SPECIAL_LEVEL"}),
            variable("LOG_LEVEL", configMapKeyRef={"name": "env-config", "key": "log_level"}),
            variable("ABSENT", configMapKeyRef={"name": "env-config", "key": "none", "optional": True}),
            {"name": "MISSING", "value": "-"},
        ],
        envFrom=[
            {"prefix": "special_", "configMapRef": {"name": "special-config"}},
            {"configMapRef": {"name": "nothing", "optional": True}},
        ],
    )
    assert text.splitlines() == ["very - $(SPECIAL_LEVEL_KEY)", "INFO charm []"]


def test_config_maps_as_files(site):
    """All keys as files, some at paths and with modes of their own, one alone by subPath."""
    site.apply(config_map("special-config", SPECIAL_LEVEL="very", SPECIAL_TYPE="charm"))
    volumes = [
        {"name": "v", "configMap": {"name": "special-config"}},
        {
            "name": "items",
            "configMap": {
                "name": "special-config",
                "defaultMode": 0o640,
                "items": [
                    {"key": "SPECIAL_LEVEL", "path": "keys/level"},
                    {"key": "SPECIAL_TYPE", "path": "type", "mode": 0o400},
                ],
            },
        },
    ]
    text = printed(
        site,
        "config-files",
        "ls /etc/config; cat /etc/config/SPECIAL_TYPE; echo; cat /etc/items/keys/level; echo; cat /etc/one/level; echo;"
        " ls -lL /etc/items/keys/level /etc/items/type | cut -c1-10; touch /etc/config/x 2>/dev/null || echo read-only",
        volumes=volumes,
        volumeMounts=[
            {"name": "v", "mountPath": "/etc/config"},
            {"name": "items", "mountPath": "/etc/items"},
            {"name": "v", "mountPath": "/etc/one/level", "subPath": "SPECIAL_LEVEL"},
        ],
    )
    assert text.splitlines() == [
        "SPECIAL_LEVEL", "SPECIAL_TYPE", "charm", "very", "very", "-rw-r-----", "-r--------", "read-only",
    ]  # fmt: skip


@pytest.mark.timeout(300)
def test_changes_reach_running_pods(site):
    """The files of a whole volume change, all at once; one mounted by subPath stays as it was."""
    site.apply(config_map("live", word="old"), secret("key", word="old"))
    volumes = [
        {"name": "v", "configMap": {"name": "live"}},
        {"name": "s", "secret": {"secretName": "key"}},
        {"name": "labels", "downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
    ]  # fmt: skip
    site.apply(
        site.pod(
            "watching",
            site.container(
                "exec sleep 600",
                volumeMounts=[
                    *mounts("/etc/config"),
                    *mounts("/etc/secret", name="s"),
                    *mounts("/etc/labels", name="labels"),
                    {"name": "v", "mountPath": "/etc/fixed", "subPath": "word"},
                ],
            ),
            volumes=volumes,
            metadata={"labels": {"tier": "old"}},
        )
    )
    site.is_ready("watching")

    def reads(path):
        return site.kube("exec", "watching", "--", "cat", path).strip()

    assert [reads(path) for path in ("/etc/config/word", "/etc/secret/word", "/etc/fixed")] == ["old"] * 3
    site.kube("label", "pod", "watching", "tier=new", "--overwrite")
    eventually(lambda: reads("/etc/labels/labels") == 'tier="new"', PATIENCE)
    site.apply(config_map("live", word="new"), secret("key", word="new"))
    eventually(lambda: reads("/etc/config/word") == "new", 2 * PATIENCE)
    eventually(lambda: reads("/etc/secret/word") == "new", 2 * PATIENCE)
    assert reads("/etc/fixed") == "old"
    assert site.column("watching") == ("1/1", "Running", "0")


def test_secrets(site):
    """As variables, and as files that only their owner may read."""
    site.apply(secret("test-secret", username="my-app", password="39528$vdg7Jb"))
    text = printed(
        site,
        "secret-test-pod",
        "echo $SECRET_USERNAME $password; cat /etc/secret-volume/username; echo; cat /etc/hidden/my-group/my-username;"
        " echo; ls -lL /etc/secret-volume/password | cut -c1-10",
        env=[variable("SECRET_USERNAME", secretKeyRef={"name": "test-secret", "key": "username"})],
        envFrom=[{"secretRef": {"name": "test-secret"}}],
        volumes=[
            {"name": "v", "secret": {"secretName": "test-secret", "defaultMode": 0o400}},
            {
                "name": "w",
                "secret": {
                    "secretName": "test-secret",
                    "items": [{"key": "username", "path": "my-group/my-username"}],
                },
            },
        ],
        volumeMounts=[*mounts("/etc/secret-volume"), *mounts("/etc/hidden", name="w")],
    )
    assert text.splitlines() == ["my-app 39528$vdg7Jb", "my-app", "my-app", "-r--------"]


def test_what_is_missing_holds_the_container(site):
    """Without its ConfigMap a container does not start, and does as soon as it is there."""
    reference = {"configMapKeyRef": {"name": "later", "key": "word"}}
    site.apply(site.pod("waits", site.container("echo $WORD", env=[variable("WORD", **reference)]), restartPolicy="Never"))  # fmt: skip
    eventually(lambda: site.column("waits")[1] == "CreateContainerConfigError", PATIENCE)
    assert site.container_status("waits")["state"]["waiting"]["message"] == 'configmap "later" not found'
    eventually(
        lambda: any('configmap "later" not found' in text for _, text in site.events("waits")), PATIENCE
    )
    site.apply(config_map("later", word="here"))
    site.ends("waits")
    assert site.kube("logs", "waits") == "here\n"


def test_a_volume_that_is_missing_holds_the_pod(site):
    site.apply(
        site.pod("waits", site.container("cat /etc/config/word", volumeMounts=mounts("/etc/config")),
                 volumes=[{"name": "v", "configMap": {"name": "later"}}], restartPolicy="Never")
    )  # fmt: skip
    eventually(lambda: any(r == "FailedMount" for r, _ in site.events("waits")), PATIENCE)
    message = 'MountVolume.SetUp failed for volume "v" : configmap "later" not found'
    assert ("FailedMount", message) in site.events("waits")
    assert site.column("waits")[1] == "ContainerCreating"
    site.apply(config_map("later", word="here"))
    site.ends("waits")
    assert site.kube("logs", "waits").strip() == "here"


def test_the_downward_api_as_variables(site):
    fields = {
        "MY_NODE_NAME": "spec.nodeName",
        "MY_POD_NAME": "metadata.name",
        "MY_POD_NAMESPACE": "metadata.namespace",
        "MY_POD_IP": "status.podIP",
        "MY_POD_SERVICE_ACCOUNT": "spec.serviceAccountName",
        "MY_LABEL": "metadata.labels['zone']",
        "MY_HOST": "status.hostIP",
    }
    resources = {
        "MY_CPU_REQUEST": ("requests.cpu", "1m"),
        "MY_CPU_LIMIT": ("limits.cpu", "1m"),
        "MY_MEM_REQUEST": ("requests.memory", "1"),
        "MY_MEM_LIMIT": ("limits.memory", "1Mi"),
    }
    names = [*fields, *resources]
    env = [variable(name, fieldRef={"fieldPath": path}) for name, path in fields.items()]
    env += [
        variable(name, resourceFieldRef={"resource": path, "divisor": divisor})
        for name, (path, divisor) in resources.items()
    ]
    site.apply(
        site.pod(
            "dapi-envars",
            site.container(
                f"echo {' '.join(f'${name}' for name in names)}",
                env=env,
                resources={
                    "requests": {"memory": "32Mi", "cpu": "125m"},
                    "limits": {"memory": "64Mi", "cpu": "250m"},
                },
            ),
            restartPolicy="Never",
            metadata={"labels": {"zone": "us-est-coast"}},
        )
    )
    site.ends("dapi-envars")
    values = dict(zip(names, site.kube("logs", "dapi-envars").split(), strict=True))
    assert values.pop("MY_POD_IP") == site.status("dapi-envars")["podIP"]
    assert values == {
        "MY_NODE_NAME": "engine", "MY_POD_NAME": "dapi-envars", "MY_POD_NAMESPACE": "default",
        "MY_POD_SERVICE_ACCOUNT": "default", "MY_LABEL": "us-est-coast", "MY_HOST": "127.0.0.1",
        "MY_CPU_REQUEST": "125", "MY_CPU_LIMIT": "250", "MY_MEM_REQUEST": str(32 << 20), "MY_MEM_LIMIT": "64",
    }  # fmt: skip


def test_the_downward_api_as_files(site):
    items = [
        {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}},
        {"path": "annotations", "fieldRef": {"fieldPath": "metadata.annotations"}},
        {"path": "cpu_limit", "resourceFieldRef": {"containerName": "main", "resource": "limits.cpu", "divisor": "1m"}},
    ]  # fmt: skip
    site.apply(
        site.pod(
            "volume-example",
            site.container(
                "cat /etc/podinfo/labels; echo; grep ^build /etc/podinfo/annotations; cat /etc/podinfo/cpu_limit",
                volumeMounts=mounts("/etc/podinfo"),
                resources={"limits": {"cpu": "250m"}},
            ),
            restartPolicy="Never",
            metadata={
                "labels": {"zone": "us-est-coast", "cluster": "one"},
                "annotations": {"build": "two"},
            },
            volumes=[{"name": "v", "downwardAPI": {"items": items}}],
        )
    )
    site.ends("volume-example")
    lines = site.kube("logs", "volume-example").splitlines()
    assert lines == ['cluster="one"', 'zone="us-est-coast"', 'build="two"', "250"]


def test_tokens(site):
    """A token of one's own audience and time, beside the one that every pod gets."""
    source = {"serviceAccountToken": {"path": "vault-token", "expirationSeconds": 7200, "audience": "vault"}}
    default = "/var/run/secrets/kubernetes.io/serviceaccount"
    text = printed(
        site,
        "tokens",
        f"cat /var/run/secrets/tokens/vault-token; echo; cat {default}/token; echo; cat {default}/namespace; echo;"
        f" grep -c BEGIN {default}/ca.crt",
        volumes=[{"name": "v", "projected": {"sources": [source]}}],
        volumeMounts=mounts("/var/run/secrets/tokens"),
    )
    vault, own, namespace, certificates = text.split()
    claims = _claims(vault)
    assert claims["aud"] == ["vault"]
    assert claims["exp"] - claims["iat"] == 7200
    assert claims["kubernetes.io"]["pod"]["name"] == "tokens"
    assert claims["sub"] == "system:serviceaccount:default:default"
    assert _claims(own)["kubernetes.io"]["pod"]["uid"] == site.get("tokens")["metadata"]["uid"]
    assert (namespace, certificates) == ("default", "1")


def _claims(token):
    body = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))


def test_one_directory_from_everywhere(site):
    """The all-in-one projected volume."""
    site.apply(secret("mysecret", username="admin"), config_map("myconfigmap", config="settings"))
    sources = [
        {"secret": {"name": "mysecret", "items": [{"key": "username", "path": "my-group/my-username", "mode": 0o777}]}},
        {"downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
        {"configMap": {"name": "myconfigmap", "items": [{"key": "config", "path": "my-group/my-config"}]}},
    ]  # fmt: skip
    site.apply(
        site.pod(
            "volume-test",
            site.container(
                "cat /projected-volume/my-group/my-username; echo; cat /projected-volume/my-group/my-config; echo;"
                " cat /projected-volume/labels; echo; ls -lL /projected-volume/my-group/my-username | cut -c1-10",
                volumeMounts=mounts("/projected-volume"),
            ),
            restartPolicy="Never",
            metadata={"labels": {"app": "one"}},
            volumes=[{"name": "v", "projected": {"sources": sources}}],
        )
    )
    site.ends("volume-test")
    assert site.kube("logs", "volume-test").splitlines() == ["admin", "settings", 'app="one"', "-rwxrwxrwx"]


def test_sub_paths_and_shared_directories(site):
    """One volume in several places, below a path that a variable names."""
    site.apply(
        site.pod(
            "pod1",
            site.container(
                "echo one > /logs/hello.txt; echo two > /data/kept; ls /data",
                env=[variable("POD_NAME", fieldRef={"fieldPath": "metadata.name"})],
                volumeMounts=[
                    {"name": "workdir1", "mountPath": "/logs", "subPathExpr": "$(POD_NAME)"},
                    {"name": "cache", "mountPath": "/data", "subPath": "below/it"},
                ],
            ),
            restartPolicy="Never",
            volumes=[
                {
                    "name": "workdir1",
                    "hostPath": {"path": f"{site.scratch}/pods", "type": "DirectoryOrCreate"},
                },
                {"name": "cache", "emptyDir": {"medium": "Memory", "sizeLimit": "10Mi"}},
            ],
        )
    )
    site.ends("pod1")
    assert (site.scratch / "pods" / "pod1" / "hello.txt").read_text() == "one\n"
    assert site.kube("logs", "pod1") == "kept\n"
