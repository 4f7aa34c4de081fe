"""What the machine under the agent says of itself, as far as it lets us read it."""

from __future__ import annotations

import platform
import socket
from pathlib import Path
from urllib.parse import urlsplit

from virtual_kubelet.pure.node_object import HostFacts

__all__ = ["address_towards", "host_facts"]

ARCHITECTURES = {
    "x86_64": "amd64",
    "amd64": "amd64",
    "aarch64": "arm64",
    "arm64": "arm64",
    "armv7l": "arm",
    "armv6l": "arm",
    "i686": "386",
    "i386": "386",
    "ppc64le": "ppc64le",
    "s390x": "s390x",
    "riscv64": "riscv64",
    "loongarch64": "loong64",
}
"""Names of `uname -m`, as Go and so Kubernetes calls them."""


def host_facts() -> HostFacts:
    """Return what can be read without rights; "" for the rest."""
    machine = platform.machine().lower()
    return HostFacts(
        architecture=ARCHITECTURES.get(machine, machine),
        kernel_version=platform.release(),
        os_image=_os_image(),
        machine_id=_read("/etc/machine-id") or _read("/var/lib/dbus/machine-id"),
        system_uuid=_read("/sys/class/dmi/id/product_uuid"),
        boot_id=_read("/proc/sys/kernel/random/boot_id"),
    )


def address_towards(url: str) -> str:
    """Return the address of this machine that traffic to `url` comes from; "" when there is no way there.

    Sends nothing: connecting a datagram socket only asks the routing table.
    """
    parts = urlsplit(url)
    try:
        found = socket.getaddrinfo(parts.hostname, parts.port or 443, type=socket.SOCK_DGRAM)
    except OSError:
        return ""
    for family, kind, protocol, _, target in found:
        try:
            with socket.socket(family, kind, protocol) as probe:
                probe.connect(target)
                return str(probe.getsockname()[0]).partition("%")[0]
        except OSError:
            continue
    return ""


def _os_image() -> str:
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        return platform.system()
    return release.get("PRETTY_NAME", "") or release.get("NAME", "")


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""
