"""GET /version."""

from __future__ import annotations

import platform

from virtual_kubelet.version import KUBERNETES_VERSION

__all__ = ["version"]


def version() -> dict[str, str]:
    """Return `version.Info`: the release whose behaviour this server follows."""
    major, minor, _ = KUBERNETES_VERSION.split(".")
    return {
        "major": major,
        "minor": minor,
        "gitVersion": f"v{KUBERNETES_VERSION}+virtual-kubelet",
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "",
        "platform": f"linux/{'arm64' if platform.machine() in {'aarch64', 'arm64'} else 'amd64'}",
    }
