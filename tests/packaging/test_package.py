"""What the deb and the RPM are made of: the man page, the documents, the libraries that go along."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
import sys

import pytest
from packaging.requirements import Requirement
from support.documents import ROOT

from virtual_kubelet.cli.main import COMMANDS
from virtual_kubelet.cli.options import OPTIONS

sys.path.insert(0, str(ROOT / "scripts" / "lib"))
import package_tree


@pytest.fixture(scope="module")
def page():
    command = [sys.executable, ROOT / "scripts" / "lib" / "man_page.py", ROOT]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def test_the_man_page_has_every_command_and_flag(page):
    plain = page.replace("\\-", "-")
    for word in (*COMMANDS, *(f"--{option.flag}" for option in OPTIONS)):
        assert f"\n.B {word}" in plain, word


@pytest.mark.skipif(not shutil.which("groff"), reason="groff is not there")
def test_the_man_page_is_in_order(page):
    done = subprocess.run(
        ["groff", "-man", "-ww", "-Tascii"],
        input=page,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stderr == ""


def pinned():
    lines = (ROOT / "packaging" / "constraints.txt").read_text().splitlines()
    found = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {re.sub("[-_.]+", "-", name).lower(): version for name, version in found}


def test_every_library_is_pinned_within_its_range():
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    wanted = parser["options"]["install_requires"].splitlines()
    for extra in package_tree.EXTRAS.split(","):
        wanted += parser["options.extras_require"][extra].splitlines()
    for requirement in (Requirement(line) for line in wanted if line):
        if requirement.marker and not requirement.marker.evaluate({"python_version": "3.11"}):
            continue
        name = re.sub("[-_.]+", "-", requirement.name).lower()
        assert requirement.specifier.contains(pinned()[name]), requirement
    assert pinned()["kubernetes"].startswith("35.")  # 37 is three times as large


def test_documents_of_the_package_are_there_and_lead_to_each_other():
    outside = ("../charts/", "../virtual_kubelet/", "../../providers/", "../providers/")
    places = set(package_tree.DOCUMENTS.values())
    for name, place in package_tree.DOCUMENTS.items():
        text = (ROOT / name).read_text()
        for link in re.findall(r"\]\(([^)#:]+\.md)\)", text):
            target = (ROOT / place).parent.joinpath(link).resolve().relative_to(ROOT).as_posix()
            assert target in places or link.startswith(outside), f"{name}: {link}"
