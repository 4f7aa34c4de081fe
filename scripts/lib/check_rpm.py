"""Installs the RPM in a Debian tree, runs the service's command line there, upgrades and erases it.

    sudo python check_rpm.py RPM TREE       TREE: as for check_deb.py

A Debian tree has the Python that the RPM asks for, under the same name, and runs its scriptlets; what it cannot show is
that a Red Hat system finds the packages that the RPM requires.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from check_deb import SETTINGS, Tree, check_command, check_owners, expect, mount_proc, run_service

from virtual_kubelet.devapi.server import ControlPlane
from virtual_kubelet.runtime.threads import Deadline

REQUIRED = {"python3.11", "ca-certificates", "systemd"}


def main(package: str, root: str) -> None:
    """Check everything; end with 1 and a sentence at the first thing that is wrong."""
    tree = Tree(Path(root).resolve())
    required = rpm(tree, "--query", "--package", "--requires", package).split("\n")
    expect({line for line in required if line in REQUIRED}, REQUIRED)
    clean(tree)
    rpm(tree, "--install", "--nodeps", package)
    plane = ControlPlane(approve_certificates=True)
    plane.start()
    mounted = mount_proc(tree)
    try:
        check_owners(tree)
        check_command(tree)
        run_service(tree, plane)
        rpm(tree, "--upgrade", "--force", "--nodeps", package)
        expect(tree.path("/etc/virtual-kubelet/config.toml").read_text(), SETTINGS)
        erase(tree)
    finally:
        plane.stop(Deadline(10))
        if mounted:
            subprocess.run(["umount", tree.path("/proc")], check=False)
    print("the RPM installs, runs, upgrades, and goes as it should")


def rpm(tree: Tree, *words: str) -> str:
    """Run rpm on the tree, with a database of its own."""
    command = ["rpm", "--root", str(tree.root), "--dbpath", "/var/lib/rpm", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def erase(tree: Tree) -> None:
    """Erase it: what was edited is kept beside its place; then leave the tree clean."""
    rpm(tree, "--erase", "--nodeps", "virtual-kubelet")
    for gone in ("/usr/bin/virtual-kubelet", "/usr/lib/virtual-kubelet", "/usr/share/doc/virtual-kubelet"):
        expect(tree.path(gone).exists(), wanted=False)
    expect(tree.path("/etc/virtual-kubelet/config.toml.rpmsave").read_text(), SETTINGS)
    clean(tree)


def clean(tree: Tree) -> None:
    """Take away what an RPM leaves, and what a try that failed has left."""
    subprocess.run(
        ["rpm", "--root", tree.root, "--dbpath", "/var/lib/rpm", "--erase", "--nodeps", "virtual-kubelet"],
        capture_output=True,
        check=False,
    )
    for place in ("etc/virtual-kubelet", "var/lib/virtual-kubelet", "var/log/virtual-kubelet", "var/lib/rpm"):
        shutil.rmtree(tree.root / place, ignore_errors=True)
    tree("userdel", "virtual-kubelet", check=False)


if __name__ == "__main__":
    main(*sys.argv[1:3])
