"""A reader who types what the documents say, on a machine of paper: /etc and /var in a directory, a cluster at hand.

The commands are the real ones but for `sudo`, which is left out, and `systemctl`, which starts what the packaged unit
says. `kubectl` looks again for a while, as one does while a node comes up.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

from support import chart, kubectl
from support.documents import ROOT

UNITS = ROOT / "packaging" / "systemd"
PLACES = ("/etc/virtual-kubelet", "/var/lib/virtual-kubelet", "/run/virtual-kubelet")

SHIMS = {
    "virtual-kubelet": """
case "$1" in bootstrap)
    case "$*" in *--kubeconfig*) ;; *) set -- "$@" --kubeconfig "$MACHINE/etc/virtual-kubelet/kubeconfig" ;; esac
    name=$(echo "$*" | sed 's/.*--nodename \\([^ ]*\\).*/\\1/')
    set -- "$@" --cert-dir "$MACHINE/var/lib/virtual-kubelet/$name/pki" ;;
esac
exec "$PYTHON" -m virtual_kubelet "$@"
""",
    "sudo": """
if [ "$1" = -u ]; then shift 2; fi
exec "$@"
""",
    "kubectl": """
for try in $(seq 100); do
    "$REAL_KUBECTL" "$@" 2>"$MACHINE/complaint" && exit 0
    sleep 0.2
done
cat "$MACHINE/complaint" >&2
exit 1
""",
    # Its objects are more than the embedded control plane knows: rendered, not installed.
    "helm": """
shift
exec "$HELM" template "$@"
""",
    "systemctl": 'exec "$PYTHON" "$MACHINE/bin/systemctl.py" "$@"\n',
}


class Reader:
    """Plays scenes; `close` ends what they have left running."""

    def __init__(self, machine, plane):
        self.machine = machine
        self.plane = plane
        for place in (*PLACES, "/bin", "/home/.kube"):
            (machine / place.lstrip("/")).mkdir(parents=True)
        for name, text in SHIMS.items():
            self._write(f"bin/{name}", f"#!/bin/sh\n{text}", 0o755)
        self._write("bin/systemctl.py", Path(__file__).with_name("paper_systemctl.py").read_text())
        self._write("home/token", plane.token("system:bootstrap:abcdef", ["system:bootstrappers"]))
        self._write("home/ca.crt", plane.ca.decode())
        plane.write_kubeconfig(machine / "home/.kube/config")
        plane.write_kubeconfig(machine / "home/admin.kubeconfig")
        for name in ("deploy", "charts", "examples"):
            (machine / "home" / name).symlink_to(ROOT / name)

    def play(self, blocks):
        """Lay out the files and type the commands; return what was printed. Any failure is ours."""
        lines = []
        for block in blocks:
            if block.do == "file":
                where = block.what.lstrip("/") if block.what.startswith("/") else f"home/{block.what}"
                self._write(where, self.placed(block.text))
            else:
                lines.append(self.placed(block.text))
        script = "set -euo pipefail\n" + "\n".join(lines)
        with (self.machine / "said").open("w+") as said:
            done = subprocess.run(
                ["bash", "-c", script], cwd=self.machine / "home", env=self._environment(), stdin=subprocess.DEVNULL,
                stdout=said, stderr=subprocess.STDOUT, timeout=100, check=False, start_new_session=True,
            )  # fmt: skip
            said.seek(0)
            printed = said.read()
        assert done.returncode == 0, printed
        return printed

    def close(self):
        """End everything that runs on this machine, and wait for it."""
        for entry in Path("/proc").iterdir():
            try:
                if f"MACHINE={self.machine}".encode() in (entry / "environ").read_bytes().split(b"\0"):
                    watched = os.pidfd_open(int(entry.name))
                    os.kill(int(entry.name), signal.SIGTERM)
                    assert select.select([watched], [], [], 30)[0], f"{entry.name} does not stop"
                    os.close(watched)
            except (OSError, ValueError):
                continue

    def placed(self, text):
        """Return text with this machine's places and cluster in it."""
        for place in PLACES:
            text = text.replace(place, f"{self.machine}{place}")
        return text.replace("https://10.0.0.1:6443", self.plane.url)

    def _environment(self):
        kept = {name: os.environ[name] for name in ("LANG", "PYTHONPATH") if name in os.environ}
        return {
            **kept,
            "PATH": f"{self.machine}/bin:{os.environ['PATH']}",
            "HOME": f"{self.machine}/home",
            "MACHINE": str(self.machine),
            "PYTHON": sys.executable,
            "UNITS": str(UNITS),
            "REAL_KUBECTL": kubectl.find(),
            "HELM": chart.HELM,
            "XDG_RUNTIME_DIR": f"{self.machine}/run/virtual-kubelet",
            # No port or address of the real machine.
            "VKUBELET_PORT": "0", "VKUBELET_ADDRESS": "127.0.0.1", "VKUBELET_NODE_IP": "127.0.0.1",
        }  # fmt: skip

    def _write(self, name, text, mode=0o600):
        path = self.machine / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
