"""Volumes of processes: real mounts where the machine has namespaces, links and a variable elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.pods import OFTEN
from support.process_pods import container, make_pod, running_node
from support.waiting import eventually

from virtual_kubelet.errors import InvalidInput

TESTS = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    with running_node(tmp_path_factory.mktemp("volumes")) as node:
        yield node


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """A node that is not allowed to mount."""
    place = tmp_path_factory.mktemp("bare")
    config = place / "config.toml"
    config.write_text('mounts = "off"\n')
    with running_node(place / "state", config_path=str(config)) as node:
        yield node


@pytest.fixture
def mounting(node):
    if not node.provider._driver._can_mount():
        pytest.skip("this machine allows no mount namespaces")
    return node


SHARED = {"name": "shared", "emptyDir": {}}
TOKEN = {"name": "kube-api-access-x", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}
TOKEN_MOUNT = {"name": TOKEN["name"], "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}


def mounted(script, *mounts, **fields):
    return container(script, volumeMounts=list(mounts), **fields)


def mount(path, name="shared", **fields):
    return {"name": name, "mountPath": path, **fields}


def names_in(directory):
    return {path.name for path in Path(directory).iterdir()}


def output(node, pod, name="c"):
    eventually(lambda: "terminated" in node.state(pod, name))
    return node.logs(pod, name)


def test_containers_share_an_empty_dir_at_a_place_that_the_machine_has_not(mounting):
    pod = mounting.run(
        make_pod(
            mounted("cat /data/deep/file; ls /", mount("/data/deep"), name="c"),
            initContainers=[mounted("echo hello > /elsewhere/file", mount("/elsewhere"), name="init")],
            volumes=[SHARED],
        )
    )
    lines = output(mounting, pod).splitlines()
    assert lines[0] == "hello"
    assert {"data", "usr", "etc", "tmp"} <= set(lines[1:])
    assert not Path("/data/deep").exists()
    assert not Path("/elsewhere").exists()


def test_a_mount_beside_what_the_machine_has(mounting):
    script = "cat /etc/hostname-for-tests/x /etc/passwd | head -c 5; echo; ls -A /etc"
    before = names_in("/etc")
    pod = mounting.run(
        make_pod(
            mounted(script, mount("/etc/hostname-for-tests"), name="c"),
            initContainers=[
                mounted("echo one > /etc/hostname-for-tests/x", mount("/etc/hostname-for-tests"), name="i")
            ],
            volumes=[SHARED],
        )
    )
    first, second, *seen = output(mounting, pod).splitlines()
    after = names_in("/etc")
    assert (first, second) == ("one", "r")
    assert "hostname-for-tests" in seen
    assert before & after <= set(seen) <= before | after | {"hostname-for-tests"}, "others may write there"
    assert not Path("/etc/hostname-for-tests").exists()


def test_a_mount_over_what_the_machine_has(mounting):
    pod = mounting.run(
        make_pod(mounted("ls -A /opt; touch /opt/mine; ls /opt", mount("/opt")), volumes=[SHARED])
    )
    assert output(mounting, pod) == "mine\n"
    assert not Path("/opt/mine").exists()


def test_exec_and_probes_see_the_mounts(mounting):
    probe = {"exec": {"command": ["cat", "/data/ready"]}, **OFTEN, "failureThreshold": 1}
    item = mounted("touch /data/ready; exec sleep 1000", mount("/data"), readinessProbe=probe)
    pod = mounting.run(make_pod(item, volumes=[SHARED]))
    eventually(lambda: mounting.containers(pod).get("c", {}).get("ready"))
    mounting.delete(pod, 0)


def test_config_maps_are_read_only_files_that_change_at_once(mounting):
    mounting.context.config_maps["settings"] = {"a": "one", "b": "1"}
    item = mounted(
        "cat /config/a; touch /config/c 2>/dev/null || echo read-only; "
        "while [ $(cat /config/a) = one ]; do sleep 0.05; done; cat /config/a /config/b; ls /config",
        mount("/config", "config"),
    )
    pod = mounting.run(make_pod(item, volumes=[{"name": "config", "configMap": {"name": "settings"}}]))
    eventually(lambda: "read-only" in mounting.logs(pod) if mounting.state(pod).get("running") else False)
    mounting.context.config_maps["settings"] = {"a": "two", "b": "2"}
    mounting.context.change("default", "web")
    assert output(mounting, pod) == "oneread-only\ntwo2a\nb\n"


def test_a_missing_config_map_holds_the_pod_until_it_comes(node):
    volume = {"name": "late", "configMap": {"name": "late"}}
    pod = node.run(make_pod(mounted("cat late/key", mount("late", "late")), volumes=[volume], name="waits"))
    eventually(lambda: "FailedMount" in node.context.reasons("waits"))
    assert node.state(pod)["waiting"]["reason"] == "ContainerCreating"
    node.context.config_maps["late"] = {"key": "here"}
    node.context.change("default", "waits")
    assert output(node, pod) == "here\n"


def test_secrets_are_in_memory_and_gone_with_the_pod(mounting):
    mounting.context.secrets["keys"] = {"password": "hunter2"}
    item = mounted("stat -fc %T /keys; stat -Lc %a /keys/password; exec sleep 1000", mount("/keys", "keys"))
    pod = mounting.run(make_pod(item, volumes=[{"name": "keys", "secret": {"secretName": "keys"}}]))
    mounting.wait_state(pod, "running")
    eventually(lambda: mounting.logs(pod) == "tmpfs\n600\n")
    uid = pod["metadata"]["uid"]
    place = mounting.provider._parts.store.tools.operations.volumes._memory
    assert (place / uid / "keys" / "password").read_text() == "hunter2"
    assert place.stat().st_mode & 0o077 == 0
    mounting.delete(pod, 0)
    eventually(lambda: not (place / uid).exists())


def test_sub_paths(mounting):
    mounting.context.config_maps["settings"] = {"a": "one"}
    item = mounted(
        "cat /one/file; echo x > /logs/x; ls /all",
        mount("/one/file", "config", subPath="a"),
        mount("/logs", subPathExpr="$(POD)/logs"),
        mount("/all", subPath="web"),
        env=[{"name": "POD", "value": "web"}],
    )
    volumes = [SHARED, {"name": "config", "configMap": {"name": "settings"}}]
    pod = mounting.run(make_pod(item, volumes=volumes))
    assert output(mounting, pod) == "onelogs\n"


@pytest.mark.parametrize("path", ["../up", "/absolute", "a/../../up"])
def test_a_sub_path_that_leads_out_is_refused(node, path):
    pod = node.run(make_pod(mounted("true", mount("here", subPath=path)), volumes=[SHARED], name="out"))
    waiting = eventually(lambda: node.state(pod).get("waiting", {}).get("message"))
    assert path in waiting
    node.delete(pod, 0)


def test_a_read_only_mount(mounting):
    item = mounted("touch /data/x 2>&1 || echo cannot", mount("/data", readOnly=True))
    pod = mounting.run(make_pod(item, volumes=[SHARED]))
    assert "cannot" in output(mounting, pod)


def test_host_paths(node, tmp_path):
    (tmp_path / "file").write_text("host")
    volumes = [
        {"name": "dir", "hostPath": {"path": str(tmp_path), "type": "Directory"}},
        {"name": "new", "hostPath": {"path": str(tmp_path / "new"), "type": "DirectoryOrCreate"}},
    ]
    pod = node.run(
        make_pod(
            mounted("cat dir/file; touch new/x", mount("dir", "dir"), mount("new", "new")), volumes=volumes
        )
    )
    assert output(node, pod) == "host\n"
    assert (tmp_path / "new" / "x").exists()


def test_a_host_path_of_the_wrong_type(node, tmp_path):
    volumes = [{"name": "dir", "hostPath": {"path": str(tmp_path), "type": "File"}}]
    pod = node.run(make_pod(mounted("true", mount("dir", "dir")), volumes=volumes, name="wrong"))
    eventually(lambda: any("is not a file" in item[3] for item in node.context.events if item[0] == "wrong"))
    node.delete(pod, 0)
    eventually(lambda: node.over(pod))


def test_a_volume_that_this_node_does_not_have_is_refused_by_name(node):
    volumes = [{"name": "disk", "persistentVolumeClaim": {"claimName": "disk"}}]
    with pytest.raises(InvalidInput, match='"disk" is a persistentVolumeClaim'):
        node.provider.create_pod(make_pod(volumes=volumes))


def test_relative_paths_lead_to_the_containers_own_directory(bare):
    pod = bare.run(
        make_pod(
            mounted("cat data/file; pwd", mount("data"), name="c"),
            initContainers=[mounted("echo hi > deep/er/file", mount("deep/er"), name="i")],
            volumes=[SHARED],
        )
    )
    assert output(bare, pod).splitlines()[0] == "hi"


def test_absolute_paths_are_refused_by_name_where_they_cannot_be(bare):
    with pytest.raises(InvalidInput, match="/data cannot be mounted.*namespaces"):
        bare.provider.create_pod(make_pod(mounted("true", mount("/data")), volumes=[SHARED]))


def test_the_service_account_volume_is_never_a_reason_to_refuse(node, bare):
    item = mounted(
        'echo "$VIRTUAL_KUBELET_SERVICE_ACCOUNT"; ls -d "$VIRTUAL_KUBELET_SERVICE_ACCOUNT"', TOKEN_MOUNT
    )
    for place in (node, bare):
        pod = place.run(make_pod(item, volumes=[TOKEN]))
        place.wait_phase(pod, "Succeeded")
        first, second = place.logs(pod).splitlines()
        assert first == second
    assert TOKEN["name"] in first


def test_the_termination_log_is_where_kubernetes_says(mounting):
    pod = mounting.run(make_pod(container("echo sleepy > /dev/termination-log; ls /dev/null; exit 1")))
    mounting.wait_phase(pod, "Failed")
    assert mounting.state(pod)["terminated"]["message"] == "sleepy\n"
    assert not Path("/dev/termination-log").exists()


def test_mounts_without_root(tmp_path):
    """The same in a user namespace, as a plain user."""
    if os.geteuid() != 0:
        pytest.skip("this test becomes another user: as one, the others show the same")
    if any(not path.stat().st_mode & 0o001 for path in Path(sys.executable).resolve().parents):
        pytest.skip("this Python cannot be run by another user")
    script = f"""
import os, sys
os.setgroups([]); os.setgid(65534); os.setuid(65534)
sys.path.insert(0, {str(TESTS)!r})
from support.process_pods import container, make_pod, running_node
with running_node({str(tmp_path / "state")!r}) as node:
    kind = node.provider._driver._client.mounts
    if not kind:
        sys.exit(77)
    item = container("id -u; echo text > /data/file; cat /data/file; cat /etc/hostname > /dev/null && echo fine",
                     volumeMounts=[{{"name": "v", "mountPath": "/data"}}])
    pod = node.run(make_pod(item, volumes=[{{"name": "v", "emptyDir": {{}}}}]))
    node.wait_phase(pod, "Succeeded")
    print(kind, *node.logs(pod).split())
"""
    tmp_path.chmod(0o777)
    for parent in tmp_path.parents:
        if parent.stat().st_mode & 0o005 != 0o005:
            parent.chmod(parent.stat().st_mode | 0o005)
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=100, check=False
    )
    if ended.returncode == 77:
        pytest.skip("this machine allows no user namespaces")
    assert ended.stdout.split() == ["user", "65534", "text", "fine"], ended.stderr


def test_an_empty_dir_that_outgrows_its_limit_evicts_the_pod(node):
    volumes = [{"name": "shared", "emptyDir": {"sizeLimit": "100Ki"}}]
    item = mounted("head -c 300000 /dev/zero > data/file; exec sleep 1000", mount("data"))
    pod = node.run(make_pod(item, volumes=volumes, name="fat", terminationGracePeriodSeconds=1))
    status = node.wait_phase(pod, "Failed", timeout=60)
    assert status["reason"] == "Evicted"
    assert 'EmptyDir volume "shared" exceeds the limit "100Ki"' in status["message"]
    eventually(lambda: "Evicted" in node.context.reasons("fat"))
