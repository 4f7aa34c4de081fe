from __future__ import annotations

import pytest
from support.pods import make_pod

from virtual_kubelet.errors import InvalidInput
from virtual_kubelet.provider import File
from virtual_kubelet.providers.azure.volumes import questions, translate

TOKENS = "/var/run/secrets/kubernetes.io/serviceaccount"
ACCOUNT = {
    "azurestorageaccountname": File(b"account", 0o600),
    "azurestorageaccountkey": File(b"key\n", 0o600),
}
OLD_ACCOUNT = {"StorageAccountName": File(b"account", 0o600), "StorageAccountKey": File(b"key", 0o600)}
SHARE = {
    "name": "v",
    "azureFile": {
        "shareName": "s",
        "readOnly": False,
        "storageAccountName": "account",
        "storageAccountKey": "key",
    },
}


def pod(volume, mount_path="/mnt"):
    return make_pod(
        volumes=[{"name": "v", **volume}],
        containers=[{"name": "main", "image": "i", "volumeMounts": [{"name": "v", "mountPath": mount_path}]}],
    )


def volumes_of(volume, files=None, operating_system="Linux"):
    return translate(pod(volume), {"v": files or {}}, operating_system=operating_system).volumes


@pytest.mark.parametrize("kind", ["secret", "configMap", "projected", "downwardAPI"])
def test_what_kubernetes_makes_becomes_a_secret_volume(kind):
    files = {"b": File(b"\x00\xff", 0o600), "a": File(b"text", 0o644)}
    assert volumes_of({kind: {}}, files) == [{"name": "v", "secret": {"a": "dGV4dA==", "b": "AP8="}}]


def test_nothing_in_it_is_an_empty_folder():
    assert volumes_of({"configMap": {"name": "c", "optional": True}}) == [{"name": "v", "emptyDir": {}}]


def test_an_empty_dir_has_no_properties():
    assert volumes_of({"emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}}) == [
        {"name": "v", "emptyDir": {}}
    ]


def test_a_git_repo():
    source = {"repository": "https://example/r", "directory": ".", "revision": "abc"}
    assert volumes_of({"gitRepo": source}) == [{"name": "v", "gitRepo": source}]
    assert volumes_of({"gitRepo": {"repository": "r", "directory": ""}}) == [
        {"name": "v", "gitRepo": {"repository": "r"}}
    ]


@pytest.mark.parametrize("account", [ACCOUNT, OLD_ACCOUNT])
@pytest.mark.parametrize(
    "volume",
    [
        {"azureFile": {"shareName": "s", "secretName": "a"}},
        {"csi": {"driver": "file.csi.azure.com", "volumeAttributes": {"shareName": "s", "secretName": "a"}}},
    ],
)
def test_an_azure_files_share(volume, account):
    assert volumes_of(volume, account) == [SHARE]


def test_a_share_for_reading():
    volume = {"azureFile": {"shareName": "s", "secretName": "a", "readOnly": True}}
    assert volumes_of(volume, ACCOUNT)[0]["azureFile"]["readOnly"] is True


@pytest.mark.parametrize(
    ("volume", "asked"),
    [
        ({"secret": {"secretName": "a"}}, {"name": "v", "secret": {"secretName": "a"}}),
        ({"azureFile": {"secretName": "a"}}, {"name": "v", "secret": {"secretName": "a"}}),
        (
            {"csi": {"driver": "file.csi.azure.com", "nodePublishSecretRef": {"name": "a"}}},
            {"name": "v", "secret": {"secretName": "a"}},
        ),
    ],
)
def test_what_has_to_be_asked_for(volume, asked):
    assert questions(pod(volume)) == {"v": asked}


def test_what_nobody_mounts_is_left_out():
    unused = make_pod(
        volumes=[{"name": "v", "secret": {"secretName": "a"}}, {"name": "w", "hostPath": {"path": "/"}}]
    )
    assert questions(unused) == {}
    assert translate(unused, {}, operating_system="Linux").volumes == []


@pytest.mark.parametrize(
    ("volume", "files", "words"),
    [
        ({"hostPath": {"path": "/"}}, {}, "spec.volumes[0].hostPath: container groups have no such volumes"),
        ({"persistentVolumeClaim": {"claimName": "c"}}, {}, "spec.volumes[0].persistentVolumeClaim"),
        ({"csi": {"driver": "disk.csi.azure.com"}}, {}, "spec.volumes[0].csi.driver"),
        ({"azureFile": {"secretName": "a"}}, ACCOUNT, "the name of the share is missing"),
        ({"azureFile": {"shareName": "s", "secretName": "a"}}, {}, "azurestorageaccountname"),
        ({"configMap": {}}, {"a/b": File(b"", 0)}, '"a/b" is in a folder'),
    ],
)
def test_what_a_group_cannot_mount_is_named(volume, files, words):
    with pytest.raises(InvalidInput) as caught:
        volumes_of(volume, files)
    assert words in str(caught.value)


def test_a_secret_of_another_namespace_is_refused():
    attributes = {"shareName": "s", "secretName": "a", "secretNamespace": "kube-system"}
    with pytest.raises(InvalidInput, match="secretNamespace"):
        questions(pod({"csi": {"driver": "file.csi.azure.com", "volumeAttributes": attributes}}))


def test_windows_groups_do_without_the_token_and_refuse_the_rest():
    held = translate(pod({"projected": {}}, TOKENS), {}, operating_system="Windows")
    assert (held.volumes, held.dropped) == ([], {"v"})
    with pytest.raises(InvalidInput, match="Windows container groups have no volumes"):
        volumes_of({"emptyDir": {}}, operating_system="Windows")
