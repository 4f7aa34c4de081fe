"""Limits by cgroups: what is written where, on a directory that looks like one, and on a real one where there is."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from support.process_pods import container, make_pod, running_node
from support.waiting import eventually

from virtual_kubelet.errors import ConfigError
from virtual_kubelet.provider import ProviderConfig
from virtual_kubelet.providers.process.config import load
from virtual_kubelet.providers.process.limits import cgroup_files
from virtual_kubelet.providers.process.supervisor import cgroups

LIMITS = {"requests": {"cpu": "100m"}, "limits": {"cpu": "500m", "memory": "64Mi"}}


@pytest.fixture
def tree(tmp_path):
    """A directory with the files of a delegated cgroup."""
    path = tmp_path / "pods"
    path.mkdir()
    (path / "cgroup.controllers").write_text("cpuset cpu io memory pids\n")
    (path / "cgroup.subtree_control").write_text("")
    return path


@pytest.mark.parametrize(
    ("resources", "files"),
    [
        ({}, {}),
        ({"requests": {"cpu": "1"}}, {"cpu.weight": "39"}),
        ({"limits": {"cpu": "0", "memory": "0"}}, {"cpu.weight": "1"}),  # 0 is no limit
        (
            LIMITS,
            {
                "memory.max": str(64 << 20),
                "memory.oom.group": "1",
                "cpu.max": "50000 100000",
                "cpu.weight": "4",
            },
        ),
        ({"limits": {"cpu": "1m"}}, {"cpu.max": "1000 100000", "cpu.weight": "1"}),
        ({"limits": {"example.com/dongle": "1"}}, {}),
    ],
)
def test_what_limits_become(resources, files):
    assert cgroup_files({"name": "c", "resources": resources}) == files


@pytest.mark.parametrize(
    ("own", "found"),
    [
        ("0::/system.slice/vk.service/supervisor\n", "system.slice/vk.service"),
        ("4:memory:/x\n0::/user.slice/supervisor\n", "user.slice"),
        ("0::/system.slice/vk.service\n", ""),  # somebody else's, even where we could write to it
        ("0::/\n", ""),
        ("4:memory:/supervisor\n", ""),
    ],
)
def test_what_counts_as_delegated(tmp_path, own, found):
    (tmp_path / "cgroup").write_text(own)
    wanted = str(tmp_path / "fs" / found) if found else ""
    assert cgroups.delegated(tmp_path, tmp_path / "fs") == wanted


def test_only_what_is_offered_is_used(tree):
    assert cgroups.Cgroups("").controllers == []
    assert cgroups.Cgroups("").create("one", {"memory.max": "1"}) == ""
    assert cgroups.Cgroups(str(tree / "none")).controllers == []
    (tree / "cgroup.controllers").write_text("memory\n")
    ours = cgroups.Cgroups(str(tree))
    assert ours.controllers == ["memory"]
    path = Path(ours.create("one", {"memory.max": "1", "cpu.max": "1 2", "../memory.max": "3"}))
    assert path == tree / "one"
    assert [file.name for file in path.iterdir()] == ["memory.max"]


@pytest.mark.parametrize(
    ("events", "killed"), [(None, False), ("low 0\noom_kill 0\n", False), ("oom 1\noom_kill 2\n", True)]
)
def test_who_was_killed_for_memory(tmp_path, events, killed):
    if events is not None:
        (tmp_path / "memory.events").write_text(events)
    assert cgroups.oom_killed(str(tmp_path)) is killed


def test_a_cgroup_that_is_busy_is_removed_later(tree):
    ours = cgroups.Cgroups(str(tree))
    path = Path(ours.create("one", {}))
    (path / "busy").touch()
    (path / "made-by-the-container").mkdir()
    ours.remove(str(path))
    assert [entry.name for entry in path.iterdir()] == ["busy"]
    ours.tidy()
    assert path.exists()
    (path / "busy").unlink()
    ours.tidy()
    assert not path.exists()
    ours.remove("")


def test_a_container_gets_its_cgroup_and_commands_enter_it(tree, tmp_path, caplog):
    with _node(tmp_path, tree) as node:
        pod = node.run(make_pod(container("exec sleep 1000", resources=LIMITS)))
        node.wait_state(pod, "running")
        (own,) = [entry for entry in tree.iterdir() if entry.is_dir()]
        assert (own / "memory.max").read_text() == str(64 << 20)
        assert (own / "cpu.max").read_text() == "50000 100000"
        assert (own / "cgroup.procs").read_text() == "0", "the process has put itself there"
        (own / "memory.events").write_text("oom_kill 1\n")
        node.provider.delete_pod({**pod, "metadata": {**pod["metadata"], "deletionGracePeriodSeconds": 0}})
        ended = node.wait_phase(pod, "Failed")["containerStatuses"][0]["state"]["terminated"]
        assert (ended["reason"], ended["exitCode"]) == ("OOMKilled", 137)
        assert (own / "cgroup.kill").read_text() == "1"
    assert "not enforced" not in caplog.text


def test_without_a_cgroup_it_is_said_once(tmp_path, caplog):
    with running_node(tmp_path / "state") as node:
        if node.provider._driver._client.controllers:
            pytest.skip("this machine has delegated a cgroup to its tests")
        for name in ("one", "two"):
            node.run(make_pod(container("true", resources=LIMITS), name=name))
    said = [record.message for record in caplog.records if "not enforced" in record.message]
    assert len(said) == 1
    assert said[0].startswith("limits of cpu and memory are not enforced")


def test_what_is_no_cgroup_is_refused(tmp_path):
    config = tmp_path / "process.toml"
    config.write_text('cgroup = "/nothing"\n')
    with pytest.raises(ConfigError, match=r"is no cgroup \(v2\); make it"):
        load(ProviderConfig(node_name="n", config_path=str(config), state_dir=str(tmp_path)))


@pytest.mark.live
def test_a_real_one(tmp_path):
    root = Path("/sys/fs/cgroup")
    path = root / f"vk-test-{os.getpid()}"
    if os.geteuid() != 0 or not _offers_memory(root):
        pytest.skip("needs root and a cgroup v2 with the memory controller")
    path.mkdir()
    try:
        with _node(tmp_path, path) as node:
            hog = "head -c 200000000 /dev/zero | tail"
            pod = node.run(make_pod(container(hog, resources={"limits": {"memory": "20Mi"}})))
            ended = node.wait_phase(pod, "Failed")["containerStatuses"][0]["state"]["terminated"]
            assert (ended["reason"], ended["exitCode"]) == ("OOMKilled", 137)
            eventually(lambda: not [entry for entry in path.iterdir() if stat.S_ISDIR(entry.stat().st_mode)])
    finally:
        eventually(lambda: _removed(path))


def _offers_memory(root):
    try:
        return "memory" in (root / "cgroup.subtree_control").read_text().split()
    except OSError:
        return False


def _removed(path):
    try:
        path.rmdir()
    except OSError:
        return not path.exists()
    return True


def _node(tmp_path, cgroup):
    config = tmp_path / "process.toml"
    config.write_text(f'cgroup = "{cgroup}"\n')
    return running_node(tmp_path / "state", config_path=str(config))
