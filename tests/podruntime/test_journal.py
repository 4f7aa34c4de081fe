from __future__ import annotations

import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.pod_world import World, container, make_pod

from virtual_kubelet.errors import InvalidInput
from virtual_kubelet.podruntime import payload
from virtual_kubelet.podruntime.journal import Journal, without_secrets
from virtual_kubelet.podruntime.record import HOOK_NONE, HOOK_RUNNING
from virtual_kubelet.provider import File


@pytest.fixture
def journal(tmp_path):
    journal = Journal(tmp_path / "pods")
    journal.open()
    return journal


def test_what_is_saved_is_loaded(journal):
    world = World(make_pod()).run().exit(code=1)
    journal.save_pod("u", world.pod)
    journal.save_record("u", world.record.to_json())
    assert list(journal.load()) == [(world.pod, world.record)]
    assert all(path.stat().st_mode & 0o077 == 0 for path in journal.directory("u").iterdir())
    journal.remove("u")
    assert list(journal.load()) == []


def test_a_record_that_is_saved_while_its_pod_is_removed_does_not_stay(journal, monkeypatch):
    world = World(make_pod()).run()
    journal.save_pod("u", world.pod)
    rmdir = os.rmdir

    def saved_meanwhile(*args, **options):
        monkeypatch.setattr("os.rmdir", rmdir)
        journal.save_record("u", world.record.to_json())
        rmdir(*args, **options)

    monkeypatch.setattr("os.rmdir", saved_meanwhile)
    journal.remove("u")
    assert not journal.directory("u").exists()


def test_a_record_that_cannot_be_read_is_made_anew(journal):
    journal.save_pod("u", make_pod())
    (journal.directory("u") / "record.json").write_bytes(b"\0\0\0")
    [(pod, record)] = journal.load()
    assert pod == make_pod()
    assert (record.uid, record.name, record.containers) == ("u", "web", {})


def test_half_a_pod_is_none(journal, caplog):
    journal.save_pod("u", make_pod())
    (journal.directory("u") / "pod.json").write_bytes(b"")
    assert list(journal.load()) == []
    assert "is no pod" in caplog.text


def test_hooks_that_nobody_waits_for_are_run_again(journal):
    world = World(make_pod(container(lifecycle={"postStart": {"exec": {}}}))).run()
    assert world.record.container("c").post_start == HOOK_RUNNING
    journal.save_pod("u", world.pod)
    journal.save_record("u", world.record.to_json())
    [(_, record)] = journal.load()
    assert record.container("c").post_start == HOOK_NONE


def test_values_from_secrets_are_left_out():
    env = [{"name": "PLAIN", "value": "1"}, {"name": "TOKEN", "value": "hunter2"}]
    pod = make_pod(container(env=env), initContainers=[container("i", env=env)])
    plain, found = without_secrets(pod, lambda item: {"TOKEN"})
    assert found
    assert "hunter2" not in json.dumps(plain)
    assert pod["spec"]["containers"][0]["env"][1]["value"] == "hunter2"
    assert plain["spec"]["containers"][0]["env"][0] == {"name": "PLAIN", "value": "1"}


# -- files that change at once


def files(**texts):
    return {name.replace("__", "/"): File(text.encode(), 0o640) for name, text in texts.items()}


def held(volume):
    found = {}
    for path in volume.rglob("*"):
        if path.is_file() and not any(part.startswith("..") for part in path.relative_to(volume).parts):
            found[str(path.relative_to(volume))] = path.read_text()
    return found


def test_a_new_version_replaces_the_old_one(tmp_path):
    volume = tmp_path / "v"
    assert payload.write(volume, files(a="1", dir__b="2"))
    assert (volume / "a").read_text() == "1"
    assert (volume / "dir" / "b").read_text() == "2"
    assert (volume / "a").stat().st_mode & 0o777 == 0o640
    assert not payload.write(volume, files(a="1", dir__b="2")), "nothing has changed"
    before = (volume / "..data").resolve()
    assert payload.write(volume, files(a="3", c="4"))
    assert not before.exists()
    assert sorted(path.name for path in volume.iterdir() if not path.name.startswith("..")) == ["a", "c"]
    assert len(list(volume.glob("..2*"))) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files to any group")
def test_files_belong_to_the_group_that_they_are_given_to(tmp_path):
    payload.write(tmp_path / "v", {"a": File(b"1", 0o440)}, group=2000)
    assert (tmp_path / "v" / "a").stat().st_gid == 2000


def test_a_changed_mode_is_a_change(tmp_path):
    payload.write(tmp_path / "v", {"a": File(b"1", 0o600)})
    assert payload.write(tmp_path / "v", {"a": File(b"1", 0o644)})
    assert (tmp_path / "v" / "a").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("path", ["../x", "/x", "a/../../x", "..data", "..x/y", ""])
def test_a_path_that_leads_out_is_refused(tmp_path, path):
    with pytest.raises(InvalidInput):
        payload.write(tmp_path / "v", {path: File(b"", 0o600)})
    assert not (tmp_path / "v").exists()


names = st.sampled_from(["a", "b", "dir__c", "dir__d", "e"])


@given(st.lists(st.dictionaries(names, st.text("xyz", max_size=3), max_size=4), max_size=5))
@settings(max_examples=40, deadline=None)
def test_any_sequence_of_versions(tmp_path_factory, versions):
    volume = tmp_path_factory.mktemp("volume") / "v"
    for version in versions:
        payload.write(volume, files(**version))
        assert {path: item.content.decode() for path, item in files(**version).items()} == held_links(volume)


def held_links(volume):
    """Read through the links, as a container does."""
    found = {}
    for entry in volume.iterdir():
        if entry.name.startswith(".."):
            continue
        for path in [entry] if entry.is_file() else entry.rglob("*"):
            found[str(path.relative_to(volume))] = path.read_text()
    return found
