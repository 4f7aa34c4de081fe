"""The real kubectl, where the machine has it; nothing of the user's is read or written."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest


def find(version=""):
    """Return the path of a kubectl: $KUBECTL_1_20 and so on, or the one on the path."""
    if version:
        return os.environ.get(f"KUBECTL_{version.replace('.', '_')}", "")
    return os.environ.get("KUBECTL") or shutil.which("kubectl") or ""


class Kubectl:
    def __init__(self, path, kubeconfig, home):
        self.path = path
        self._arguments = ["--kubeconfig", str(kubeconfig), "--cache-dir", str(Path(home) / "cache")]
        self._environment = {
            "HOME": str(home),
            "PATH": os.environ["PATH"],
            "KUBE_EDITOR": "true",
            "KUBECTL_ENABLE_CMD_SHADOW": "false",
        }

    def run(self, *arguments, stdin=None, environment=None, timeout=60):
        return subprocess.run(
            [self.path, *self._arguments, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            env={**self._environment, **(environment or {})},
            check=False,
        )

    def __call__(self, *arguments, **options):
        """Return what a command that has to succeed writes."""
        done = self.run(*arguments, **options)
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr or done.stdout}"
        return done.stdout

    def fails(self, *arguments, **options):
        """Return what a command that has to fail complains of."""
        done = self.run(*arguments, **options)
        assert done.returncode != 0, f"kubectl {' '.join(arguments)} succeeded: {done.stdout}"
        return done.stderr

    def start(self, *arguments, stdin=None):
        """Start a command that goes on; the caller ends it."""
        return subprocess.Popen(
            [self.path, *self._arguments, *arguments],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self._environment,
        )


def kubectl(plane, tmp_path, version=""):
    path = find(version)
    if not path:
        where = (
            f"set KUBECTL_{version.replace('.', '_')}" if version else "put it on the path, or set KUBECTL"
        )
        pytest.skip(f"kubectl {version} is not on this machine; {where}")
    kubeconfig = tmp_path / "kubeconfig"
    plane.write_kubeconfig(kubeconfig)
    return Kubectl(path, kubeconfig, tmp_path)
