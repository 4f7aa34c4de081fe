from __future__ import annotations

import pytest
from support.pods import make_pod

from virtual_kubelet import codec
from virtual_kubelet.pure.pod_diff import changeable, changed_from, same


def edit(path, value):
    def apply(pod):
        at = pod
        *parents, last = path
        for step in parents:
            at = at[step] if isinstance(step, int) else at.setdefault(step, {})
        at[last] = value

    return apply


CHANGES = {
    "label": edit(["metadata", "labels"], {"a": "1"}),
    "annotation": edit(["metadata", "annotations"], {"a": "1"}),
    "image": edit(["spec", "containers", 0, "image"], "busybox:2"),
    "init image": edit(["spec", "initContainers", 0, "image"], "busybox:2"),
    "resize": edit(["spec", "containers", 0, "resources"], {"limits": {"cpu": "2"}}),
    "pod resize": edit(["spec", "resources"], {"limits": {"cpu": "2"}}),
    "deadline": edit(["spec", "activeDeadlineSeconds"], 5),
    "toleration": edit(["spec", "tolerations"], [{"operator": "Exists"}]),
    "debug container": edit(["spec", "ephemeralContainers"], [{"name": "debug", "image": "sh"}]),
}
IGNORED = {
    "status": edit(["status", "phase"], "Running"),
    "resourceVersion": edit(["metadata", "resourceVersion"], "99"),
    "finalizers": edit(["metadata", "finalizers"], ["x"]),
    "environment": edit(["spec", "containers", 0, "env"], [{"name": "A", "value": "resolved"}]),
    "empty labels": edit(["metadata", "labels"], {}),
    "empty resources": edit(["spec", "containers", 0, "resources"], {"limits": {}}),
}


def pair(apply):
    before = make_pod(initContainers=[{"name": "first", "image": "busybox:1"}])
    after = codec.copy(before)
    apply(after)
    return before, after


@pytest.mark.parametrize("name", CHANGES)
def test_changes(name):
    before, after = pair(CHANGES[name])
    assert not same(changeable(before), changeable(after))
    assert same(changeable(after), changeable(codec.copy(after)))


@pytest.mark.parametrize("name", IGNORED)
def test_no_changes(name):
    before, after = pair(IGNORED[name])
    assert same(changeable(before), changeable(after))


@pytest.mark.parametrize("name", CHANGES)
def test_a_kept_copy_shows_every_change(name):
    held, pod = pair(CHANGES[name])
    assert changed_from(pod, held)
    assert not changed_from(pod, pod)


@pytest.mark.parametrize("name", IGNORED)
def test_a_kept_copy_with_its_environment_resolved_is_the_same(name):
    pod, held = pair(IGNORED[name])
    assert changed_from(pod, {**held, "metadata": {**held["metadata"], "resourceVersion": "1"}}) is False


@pytest.mark.parametrize("name", CHANGES)
def test_a_backend_that_keeps_no_spec_knows_of_no_change(name):
    _, pod = pair(CHANGES[name])
    metadata = {key: pod["metadata"][key] for key in ("namespace", "name", "uid")}
    assert not changed_from(pod, {"metadata": metadata, "status": {"phase": "Running"}})


def test_a_backend_that_keeps_images_shows_changes_of_these():
    pod = make_pod(metadata={"labels": {"a": "1"}})
    metadata = {"namespace": "default", "name": "web", "uid": "u"}
    held = {"metadata": metadata, "spec": {"containers": [{"name": "main", "image": "busybox:0"}]}}
    assert changed_from(pod, held)
    held["spec"]["containers"][0]["image"] = "busybox:1"
    assert not changed_from(pod, held)
    held["metadata"] = {**metadata, "labels": {"a": "2"}}
    assert changed_from(pod, held)
