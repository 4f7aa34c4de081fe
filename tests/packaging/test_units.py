"""The systemd units: they are in order, agree with each other, and start the command with flags that it has."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from virtual_kubelet.cli.main import COMMANDS
from virtual_kubelet.cli.options import OPTIONS

UNITS = Path(__file__).parents[2] / "packaging" / "systemd"
NAMES = ("virtual-kubelet", "virtual-kubelet-supervisor")


def settings(path):
    """Return the lines `key=value` of a unit, comments left out."""
    return [line for line in path.read_text().splitlines() if "=" in line and not line.startswith("#")]


def values(path, key):
    return [line.partition("=")[2] for line in settings(path) if line.partition("=")[0] == key]


@pytest.mark.parametrize("name", NAMES)
def test_an_instance_differs_from_the_single_node_in_its_name_only(name):
    def plain(path):
        text = (
            "\n".join(settings(path))
            .replace("VKUBELET_NODENAME=%i ", "")
            .replace("@%i", "")
            .replace(" %i", "")
        )
        return text.replace("%i.toml", "config.toml").replace("%i.environment", "environment")

    assert plain(UNITS / f"{name}@.service") == plain(UNITS / f"{name}.service")


@pytest.mark.parametrize("path", sorted(UNITS.iterdir()), ids=lambda path: path.name)
def test_commands_and_variables_exist(path):
    flags = {f"--{option.flag}" for option in OPTIONS} | {"--needed"}
    variables = {name for option in OPTIONS for name in option.variables} | {"XDG_RUNTIME_DIR"}
    for line in values(path, "ExecStart") + values(path, "ExecCondition"):
        program, *words = shlex.split(line)
        assert program == "/usr/bin/virtual-kubelet"
        assert words[0].startswith("--") or words[0] in COMMANDS
        assert {word for word in words if word.startswith("--")} <= flags
    for item in shlex.split(" ".join(values(path, "Environment"))):
        assert item.partition("=")[0] in variables


def test_agent_and_supervisor_are_one_user_and_share_directories():
    agent, supervisor = (UNITS / f"{name}.service" for name in NAMES)
    for key in ("User", "Group", "StateDirectory", "StateDirectoryMode", "RuntimeDirectory", "Environment"):
        assert values(agent, key) == values(supervisor, key), key


def test_an_end_of_the_supervisor_ends_no_container():
    unit = UNITS / "virtual-kubelet-supervisor.service"
    assert (values(unit, "KillMode"), values(unit, "Delegate"), values(unit, "OOMPolicy")) == (
        ["process"],
        ["yes"],
        ["continue"],
    )
    # A sandbox here would be one of the containers too.
    assert not [
        line for line in settings(unit) if line.startswith(("Protect", "Restrict", "Private", "SystemCall"))
    ]


@pytest.mark.live
@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not there")
def test_systemd_finds_nothing_wrong(tmp_path):
    (tmp_path / "usr/bin").mkdir(parents=True)
    (tmp_path / "usr/bin/virtual-kubelet").write_text("#!/bin/sh\n")
    (tmp_path / "usr/bin/virtual-kubelet").chmod(0o755)
    shutil.copytree(UNITS, tmp_path / "usr/lib/systemd/system")
    check = Path(__file__).parents[2] / "scripts" / "lib" / "check-units"
    result = subprocess.run([check, tmp_path], capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stderr
