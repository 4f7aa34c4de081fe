"""Volumes on disk and in memory."""

from __future__ import annotations

from support.pod_driver import SlowContext
from support.pod_world import make_pod

from virtual_kubelet.podruntime.volumes import Volumes
from virtual_kubelet.runtime.threads import spawn


def test_content_that_comes_when_the_pod_has_gone_is_not_written(tmp_path):
    context = SlowContext()
    context.secrets["password"] = {"key": "old"}
    context.config_maps["settings"] = {"key": "old"}
    volumes = Volumes(tmp_path / "pods", tmp_path / "memory", context)
    pod = make_pod(
        volumes=[
            {"name": "secret", "secret": {"secretName": "password"}},
            {"name": "config", "configMap": {"name": "settings"}},
        ]
    )
    volumes.prepare(pod)
    assert (tmp_path / "memory" / "u" / "secret" / "key").read_text() == "old"
    context.gate.shut()
    context.secrets["password"] = {"key": "new"}
    late = spawn(volumes.refresh, pod, name="test-refresh")
    assert context.gate.reached.wait(30)
    volumes.remove("u")
    context.gate.open()
    late.join(30)
    assert list(tmp_path.glob("*/u/**/key")) == []
    assert not (tmp_path / "memory" / "u").exists()
