"""Helm itself, where it is: it accepts chart and values, and makes of them what the project's own templater makes."""

from __future__ import annotations

import json
import os
import subprocess

import pytest
import yaml
from support.chart import CASES, CHART, FILE_ACI, HELM, objects

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(not os.access(HELM, os.X_OK), reason="helm is not there"),
]


def helm(tmp_path, *words, values=None):
    (tmp_path / "values.json").write_text(json.dumps(values or {}))
    environ = {**os.environ, "HOME": str(tmp_path)}
    return subprocess.run(
        [HELM, *words, "--values", tmp_path / "values.json"],
        env=environ, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_helm_and_the_templater_agree(name, tmp_path):
    result = helm(tmp_path, "template", "virtual-kubelet", CHART, "--namespace=vk", values=CASES[name])
    assert result.returncode == 0, result.stderr
    made = {
        (document["kind"], document["metadata"]["name"]): document
        for document in yaml.safe_load_all(result.stdout)
        if document
    }
    assert made == objects(CASES[name])


@pytest.mark.parametrize("name", CASES)
def test_helm_finds_nothing_wrong(name, tmp_path):
    result = helm(tmp_path, "lint", "--strict", CHART, values=CASES[name])
    assert result.returncode == 0, result.stdout + result.stderr


def test_wrong_values_are_named(tmp_path):
    result = helm(tmp_path, "template", CHART, values={"replica": 2})
    assert result.returncode != 0
    assert "replica" in result.stderr


def test_values_without_effect_are_said_at_the_installation(tmp_path):
    words = ("install", "virtual-kubelet", CHART, "--dry-run=client", "--namespace=vk")
    notes = helm(tmp_path, *words, values=FILE_ACI).stdout.partition("NOTES:")[2]
    for key in (
        "trace",
        "initImage",
        "namespace",
        "useVKVersion2",
        "providers.azure.targetAKS",
        "rbac.roleRef",
    ):
        assert f"\n{key}:" in notes
    assert "kubectl get node virtual-node-aci-linux-helm-0" in notes
