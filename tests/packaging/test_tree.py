"""The tree is what setup.cfg says it is."""

from __future__ import annotations

import configparser
from importlib.metadata import distribution
from pathlib import Path

import pytest

from virtual_kubelet.providers import registry
from virtual_kubelet.version import __version__

ROOT = Path(__file__).parents[2]


@pytest.fixture
def setup_cfg():
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser


def packages_below(folder, name):
    return {
        ".".join([name, *path.parent.relative_to(folder).parts])
        for path in folder.rglob("__init__.py")
        if "providers" not in path.relative_to(folder).parts
    }


def test_every_folder_is_a_listed_package(setup_cfg):
    listed = set(setup_cfg["options"]["packages"].split())
    there = packages_below(ROOT / "virtual_kubelet", "virtual_kubelet")
    there |= packages_below(ROOT / "providers", "virtual_kubelet.providers")
    assert sorted(listed) == sorted(there)


def test_providers_is_one_folder_seen_twice():
    link = ROOT / "virtual_kubelet" / "providers"
    assert link.is_symlink()
    assert str(link.readlink()) == "../providers"


def test_the_installed_version_is_this_one():
    assert distribution("virtual-kubelet").version == __version__


def test_the_command_is_installed():
    scripts = [
        point for point in distribution("virtual-kubelet").entry_points if point.group == "console_scripts"
    ]
    assert [(point.name, point.value) for point in scripts] == [
        ("virtual-kubelet", "virtual_kubelet.cli.main:main")
    ]


@pytest.mark.parametrize("name", sorted(registry.OURS))
def test_every_provider_of_the_table_loads(name):
    assert callable(registry.load(name))
