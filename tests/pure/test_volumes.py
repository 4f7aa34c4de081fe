from __future__ import annotations

import pytest
from support.lookups import FakeLookups, config_map, secret

from virtual_kubelet.errors import ApiForbidden, ApiUnavailable
from virtual_kubelet.provider import File
from virtual_kubelet.pure.downward import Facts
from virtual_kubelet.pure.volumes import VolumeFile, volume_content

POD = {
    "metadata": {
        "namespace": "ns",
        "name": "p",
        "labels": {"b": "2", "a": "1"},
        "annotations": {"n": "x\ny"},
    },
    "spec": {"containers": [{"name": "c", "resources": {"limits": {"cpu": "250m"}}}]},
}
LOOKUPS = FakeLookups(
    [config_map("m", {"a": "1", "b": "é"}, binary={"raw": b"\xff\x00"}), config_map("bad", {"..x": "1"})],
    [secret("s", {"user": "me", "key": b"\xff"})],
    failing={"closed": ApiForbidden("no right"), "down": ApiUnavailable("connection refused")},
)


def token(audience, seconds):
    return f"token:{audience}:{seconds}"


def content(volume, *, lookups=LOOKUPS, facts=Facts(allocatable={"memory": "1Gi"}), token=token):  # noqa: B008  # a value
    return volume_content(POD, {"name": "v", **volume}, lookups, facts, token)


def plain(data, mode=0o644):
    return VolumeFile(data, mode)


def hidden(data, mode=0o644):
    return VolumeFile(data, mode, secret=True)


M = {"a": plain(b"1"), "b": plain("é".encode()), "raw": plain(b"\xff\x00")}
S = {"key": hidden(b"\xff"), "user": hidden(b"me")}


@pytest.mark.parametrize(
    ("volume", "files"),
    [
        ({"configMap": {"name": "m"}}, M),
        ({"configMap": {"name": "m", "items": []}, "emptyDir": None}, M),
        ({"configMap": {"name": "m", "defaultMode": 0o400, "items": [{"key": "a", "path": "x/y"}, {"key": "raw", "path": "z", "mode": 0o755}]}},
         {"x/y": plain(b"1", 0o400), "z": plain(b"\xff\x00", 0o755)}),
        ({"configMap": {"name": "m", "defaultMode": 0, "items": [{"key": "a", "path": "x"}]}}, {"x": plain(b"1", 0)}),
        ({"configMap": {"name": "m", "optional": True, "items": [{"key": "a", "path": "x"}, {"key": "gone", "path": "y"}]}}, {"x": plain(b"1")}),
        ({"configMap": {"name": "gone", "optional": True}}, {}),
        ({"secret": {"secretName": "s"}}, S),
        ({"secret": {"secretName": "s", "defaultMode": 0o600, "items": [{"key": "user", "path": "u", "mode": None}]}}, {"u": hidden(b"me", 0o600)}),
        ({"secret": {"secretName": "gone", "optional": True}}, {}),
        ({"downwardAPI": None, "secret": {"secretName": "s", "items": [{"key": "user", "path": "a/../b"}]}, "name": "v"}, None),
        ({"downwardAPI": {"items": [
            {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}},
            {"path": "n", "fieldRef": {"fieldPath": "metadata.annotations['n']"}, "mode": 0o444},
            {"path": "cpu", "resourceFieldRef": {"containerName": "c", "resource": "limits.cpu", "divisor": "1m"}},
            {"path": "memory", "resourceFieldRef": {"containerName": "c", "resource": "limits.memory", "divisor": "1Mi"}},
        ]}}, {"labels": plain(b'a="1"\nb="2"'), "n": plain(b"x\ny", 0o444), "cpu": plain(b"250"), "memory": plain(b"1024")}),
        ({"downwardAPI": {}}, {}),
        # what admission gives every pod
        ({"projected": {"defaultMode": 420, "sources": [
            {"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}},
            {"configMap": {"name": "m", "items": [{"key": "a", "path": "ca.crt"}]}},
            {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]}},
        ]}}, {"token": hidden(b"token::3607"), "ca.crt": plain(b"1"), "namespace": plain(b"ns")}),
        ({"projected": {"defaultMode": 0o400, "sources": [
            {"configMap": {"name": "m", "items": [{"key": "a", "path": "x"}, {"key": "b", "path": "y", "mode": 0o640}]}, "secret": None},
            {"secret": {"name": "s", "items": [{"key": "user", "path": "x"}]}},
            {"serviceAccountToken": {"path": "t", "audience": "vault"}},
            {"configMap": {"name": "gone", "optional": True}},
            {"clusterTrustBundle": {"name": "bundle", "path": "z", "optional": True}},
        ]}}, {"x": hidden(b"me", 0o400), "y": plain("é".encode(), 0o640), "t": hidden(b"token:vault:3600", 0o400)}),
        ({"projected": {"sources": None}}, {}),
    ],
)  # fmt: skip
def test_files(volume, files):
    got = content(volume)
    if files is None:
        assert got.blocking
        return
    assert got.problems == got.blocking == ()
    assert got.files == files


@pytest.mark.parametrize(
    ("volume", "text", "blocking", "final"),
    [
        ({"configMap": {"name": "gone"}}, 'configmap "gone" not found', True, False),
        ({"secret": {"secretName": "gone"}}, 'secret "gone" not found', True, False),
        ({"configMap": {"name": "closed"}}, 'failed to read configmap "closed": no right', True, False),
        ({"configMap": {"name": "closed", "optional": True}}, 'failed to read configmap "closed": no right', False, False),
        ({"secret": {"secretName": "down", "optional": True}}, 'failed to read secret "down": connection refused', True, False),
        ({"configMap": {"name": "m", "items": [{"key": "gone", "path": "x"}]}}, 'configmap "m" references non-existent key: gone', True, False),
        ({"secret": {"secretName": "s", "items": [{"key": "gone", "path": "x"}]}}, 'secret "s" references non-existent key: gone', True, False),
        ({"downwardAPI": {"items": [{"path": "x", "fieldRef": {"fieldPath": "spec.bogus"}}]}}, "unsupported fieldPath: spec.bogus", True, True),
        ({"downwardAPI": {"items": [{"path": "x", "fieldRef": {"fieldPath": "status.podIP"}}]}}, "status.podIP is not known yet", True, False),
        ({"downwardAPI": {"items": [{"path": "x", "resourceFieldRef": {"resource": "limits.cpu"}}]}}, "container  not found", True, True),
        ({"downwardAPI": {"items": [{"path": "x"}]}}, "an item of a downwardAPI volume needs a fieldRef or a resourceFieldRef", True, True),
        ({"projected": {"sources": [{"clusterTrustBundle": {"name": "b", "path": "x"}}]}}, "clusterTrustBundle is not supported", True, True),
        ({"projected": {"sources": [{"podCertificate": {"signerName": "x"}}]}}, "podCertificate is not supported", True, True),
        ({"emptyDir": {}}, "emptyDir is not supported", True, True),
        ({"configMap": {"name": "bad"}}, "invalid path '..x': must not start with '..'", True, False),
    ],
)  # fmt: skip
def test_problems(volume, text, blocking, final):
    (problem,) = content(volume).problems
    assert problem.reason == "FailedMount"
    assert problem.text == problem.message == f'MountVolume.SetUp failed for volume "v" : {text}'
    assert (problem.blocking, problem.final, problem.container) == (blocking, final, "")


@pytest.mark.parametrize(
    ("path", "complaint"),
    [
        ("", "must not be empty"),
        ("/etc/passwd", "must be relative path"),
        ("..", r"must not contain '\.\.'"),
        ("../x", r"must not contain '\.\.'"),
        ("a/../../x", r"must not contain '\.\.'"),
        ("a/..", r"must not contain '\.\.'"),
        ("..data", r"must not start with '\.\.'"),
        ("..data/x", r"must not start with '\.\.'"),
        ("a//b", "must be normalized"),
        ("./a", "must be normalized"),
        ("a/", "must be normalized"),
        ("x" * 4097, "must be no longer than 4096 bytes"),
        ("a\0b", "must not contain a NUL"),
    ],
)
@pytest.mark.parametrize("kind", ["item", "token", "downward"])
def test_paths_that_lead_out_of_the_volume(kind, path, complaint):
    volume = {
        "item": {"configMap": {"name": "m", "items": [{"key": "a", "path": path}]}},
        "token": {"projected": {"sources": [{"serviceAccountToken": {"path": path}}]}},
        "downward": {"downwardAPI": {"items": [{"path": path, "fieldRef": {"fieldPath": "metadata.name"}}]}},
    }[kind]
    got = content(volume)
    assert got.files == {}
    (problem,) = got.problems
    assert f"invalid path {path!r}: " in problem.message
    assert problem.message.endswith(complaint.replace("\\", ""))
    assert problem.final


def test_a_path_like_a_dotted_name_is_fine():
    got = content({"configMap": {"name": "m", "items": [{"key": "a", "path": "a..b/.c/d..."}]}})
    assert set(got.files) == {"a..b/.c/d..."}


@pytest.mark.parametrize("order", [1, -1])
def test_a_file_cannot_be_a_directory_too(order):
    items = [{"key": "a", "path": "x/y"}, {"key": "b", "path": "x/y/z/w"}, {"key": "b", "path": "x/yy"}][
        ::order
    ]
    got = content({"configMap": {"name": "m", "items": items}})
    assert set(got.files) == {"x/y", "x/yy"}
    (problem,) = got.problems
    assert problem.message.endswith("'x/y' cannot be both a file and the directory of 'x/y/z/w'")
    assert problem.final


def test_all_problems_of_a_projected_volume_are_told():
    got = content({"projected": {"sources": [{"configMap": {"name": "gone"}}, {"secret": {"name": "gone"}}, {"configMap": {"name": "m"}}]}})  # fmt: skip
    assert len(got.problems) == len(got.blocking) == 2
    assert got.files == M


def test_broken_base64():
    lookups = FakeLookups(secrets=[{"metadata": {"namespace": "ns", "name": "s"}, "data": {"k": "%hunter2"}}])
    (problem,) = content({"secret": {"secretName": "s"}}, lookups=lookups).problems
    assert problem.message.endswith('secret "s": the value is not base64')


def test_a_token_that_cannot_be_had():
    def refused(audience, seconds):
        raise ApiForbidden("not for you")

    (problem,) = content(
        {"projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}, token=refused
    ).problems
    assert problem.message.endswith("failed to fetch token: not for you")
    assert problem.blocking
    assert not problem.final


def test_providers_know_these_files_by_another_name():
    assert File is VolumeFile
