"""What the documents say is so: code runs, flags and files exist, tables are complete."""

from __future__ import annotations

import argparse
import re
import sys

import pytest
from support import documents
from support.devapi import control_plane
from support.documents import ROOT
from support.provider import ScriptedProvider

from virtual_kubelet.cli import bootstrap, dev
from virtual_kubelet.cli.main import COMMANDS
from virtual_kubelet.cli.options import OPTIONS
from virtual_kubelet.providers import registry
from virtual_kubelet.settings import Settings

sys.path.insert(0, str(ROOT / "scripts" / "lib"))
import metrics_table

# Of kubectl, helm, systemctl, pip, docker, az, metrics-server, and of our own scripts.
OTHERS = {
    "--tail", "--ignore-daemonsets", "--previous", "--image", "--port", "--overrides", "--container", "--target",
    "--set", "--namespace", "--create-namespace", "--values", "--reuse-values", "--now", "--upgrade", "--build-arg",
    "--kubelet-insecure-tls", "--kubelet-certificate-authority", "--from", "--name", "--location", "--role", "--scopes", "--query", "--output", "--sdk-auth",
    "--pods", "--seconds", "--idle", "--once", "--dir", "--foreground", "--version", "--help",
}  # fmt: skip


def flags_of_ours():
    """Return the flags of every command of ours."""
    parser = argparse.ArgumentParser()
    for module in (bootstrap, dev):
        module.add_arguments(
            parser := argparse.ArgumentParser(parents=[parser], add_help=False, conflict_handler="resolve")
        )
    return {flag for action in parser._actions for flag in action.option_strings} | {
        f"--{each.flag}" for each in OPTIONS
    }


@pytest.mark.parametrize("name", documents.all_of_them())
def test_flags_links_and_paths_exist(name):
    text = documents.read(name)
    flags = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text))
    assert flags - flags_of_ours() - OTHERS == set()
    for link in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (ROOT / name).parent.joinpath(link).exists(), link
    for command in re.findall(r"^(?:sudo )?virtual-kubelet ([a-z]+)", text, re.MULTILINE):
        assert command in COMMANDS
    for path in re.findall(r"`\.?/?((?:deploy|scripts|charts|examples)/[\w./-]+)`", text):
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("name", sorted(registry.OURS))
def test_every_provider_has_its_page(name):
    assert f"`{name}`" in documents.read("README.md")
    assert any(
        f"--provider {name}" in documents.read(page)
        for page in documents.all_of_them()
        if "providers/" in page
    )


def test_every_metric_is_described():
    table = [
        line
        for line in documents.read("docs/metrics.md").splitlines()
        if line.startswith("| `") and " | " in line
    ]
    assert set(metrics_table.rows()) <= set(table)


def test_the_first_screen(tmp_path, monkeypatch):
    """The README's Python runs, with a provider of the reader's."""
    monkeypatch.chdir(tmp_path)
    with control_plane() as plane:
        plane.write_kubeconfig(tmp_path / "kubeconfig")
        monkeypatch.setattr("virtual_kubelet.settings.Settings", settings_of_a_test(tmp_path))
        documents.python("README.md", {"MyProvider": ScriptedProvider})
        assert plane.storage.get("nodes", "", "batch") is not None


def settings_of_a_test(tmp_path):
    """Return `Settings` with places and ports that no machine minds."""
    return lambda **given: Settings(
        **given, port=0, address="127.0.0.1", node_ip="127.0.0.1", state_dir=str(tmp_path / "state")
    )


def test_a_control_plane_in_three_lines(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    documents.python("docs/control-plane.md")
    assert (tmp_path / "dev.kubeconfig").stat().st_mode & 0o077 == 0
