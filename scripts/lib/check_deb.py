"""Installs the deb in a Debian tree, runs the service's command line there, upgrades, removes and purges it.

    sudo python check_deb.py DEB TREE       TREE: made by debootstrap; it is used as it is and left clean

The cluster is an embedded control plane in this process; the tree shares its network. Without systemd: what the unit
does (user, environment, notification socket, SIGTERM) is done here, from the unit's own lines.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from virtual_kubelet.devapi.server import ControlPlane
from virtual_kubelet.errors import ApiNotFound
from virtual_kubelet.kube import config
from virtual_kubelet.kube.client import Client
from virtual_kubelet.kube.resources import NODES, PODS
from virtual_kubelet.runtime.threads import Deadline

NODE = "deb-node"
SETTINGS = f"""
nodename = "{NODE}"
kubeconfig = "/etc/virtual-kubelet/kubeconfig"
provider = "process"
port = 0
address = "127.0.0.1"
node-ip = "127.0.0.1"
"""
PATH = "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LIMIT_MIB, LIMIT_SECONDS = 70, 2.0


class Tree:
    """A Debian system in a directory."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def __call__(self, *words: str, check: bool = True) -> str:
        """Run a command in it and return what it prints."""
        done = subprocess.run(
            ["/usr/sbin/chroot", self.root, *words], capture_output=True, text=True, check=False, env={"PATH": PATH, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
        )  # fmt: skip
        if check and done.returncode:
            sys.exit(f"{' '.join(words)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def path(self, inside: str) -> Path:
        """Return a path of the tree as this process sees it."""
        return self.root / inside.lstrip("/")


def main(deb: str, root: str) -> None:
    """Check everything; end with 1 and a sentence at the first thing that is wrong."""
    tree = Tree(Path(root).resolve())
    tree("dpkg", "--purge", "virtual-kubelet", check=False)
    shutil.copy(deb, tree.path("/tmp/virtual-kubelet.deb"))
    tree(
        "apt-get",
        "install",
        "--yes",
        "--no-install-recommends",
        "-o",
        "Dpkg::Use-Pty=0",
        "/tmp/virtual-kubelet.deb",
    )
    check_owners(tree)
    check_files(tree)
    check_command(tree)
    plane = ControlPlane(approve_certificates=True)
    plane.start()
    mounted = mount_proc(tree)
    try:
        run_service(tree, plane)
        upgrade(tree)
        remove(tree)
    finally:
        plane.stop(Deadline(10))
        if mounted:
            subprocess.run(["umount", tree.path("/proc")], check=False)
    print("the deb installs, runs, upgrades, and goes as it should")


def mount_proc(tree: Tree) -> bool:
    """Give the tree a /proc, as every system has."""
    if tree.path("/proc/self").exists():
        return False
    subprocess.run(["mount", "-t", "proc", "proc", tree.path("/proc")], check=True)
    return True


def check_owners(tree: Tree) -> None:
    """Look at owners and modes."""
    expect(
        tree("stat", "-c", "%U:%G %a", "/var/lib/virtual-kubelet").strip(),
        "virtual-kubelet:virtual-kubelet 700",
    )
    expect(
        tree("stat", "-c", "%U:%G %a", "/var/log/virtual-kubelet").strip(),
        "virtual-kubelet:virtual-kubelet 750",
    )
    expect(tree("stat", "-c", "%U:%G %a", "/etc/virtual-kubelet").strip(), "root:virtual-kubelet 750")
    expect(
        tree("stat", "-c", "%U:%G %a", "/etc/virtual-kubelet/config.toml").strip(), "root:virtual-kubelet 640"
    )


def check_files(tree: Tree) -> None:
    """Look at size and sums."""
    size = int(tree("dpkg-query", "-W", "-f", "${Installed-Size}", "virtual-kubelet")) / 1024
    print(f"installed {size:.0f} MiB")
    if size > LIMIT_MIB:
        sys.exit(f"that is more than {LIMIT_MIB} MiB")
    if tree("dpkg", "--verify", "virtual-kubelet"):
        sys.exit("dpkg --verify finds changed files")


def check_command(tree: Tree) -> None:
    """Run what needs no cluster; find a provider that somebody has put beside the package."""
    print(tree("virtual-kubelet", "version").strip())
    own = tree.path("/usr/local/lib/virtual-kubelet")
    information = own / "acme-1.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1\n")
    (information / "entry_points.txt").write_text("[virtual_kubelet.providers]\nacme = acme:create\n")
    expect(tree("virtual-kubelet", "providers", "acme"), "acme\n")
    shutil.rmtree(own)


def unit(tree: Tree, name: str = "virtual-kubelet") -> tuple[list[str], dict[str, str], str]:
    """Return command, environment and user of a unit."""
    command, environment, user = "", {}, "root"
    for line in tree.path(f"/usr/lib/systemd/system/{name}.service").read_text().splitlines():
        key, _, value = line.partition("=")
        if key == "ExecStart":
            command = value
        elif key == "User":
            user = value
        elif key == "Environment":
            environment.update(item.split("=", 1) for item in shlex.split(value))
    return shlex.split(command), environment, user


def configure(tree: Tree, plane: ControlPlane) -> None:
    """Join the cluster, edit the settings and look at them, as docs/install-vm.md says."""
    write(tree, "/tmp/token", plane.token("installer", ["system:masters"]))
    write(tree, "/tmp/ca.crt", plane.ca.decode())
    tree(
        "virtual-kubelet", "bootstrap", "--nodename", NODE, "--server", plane.url,
        "--token-file", "/tmp/token", "--certificate-authority", "/tmp/ca.crt",
    )  # fmt: skip
    expect(
        tree("stat", "-c", "%U:%G %a", "/etc/virtual-kubelet/kubeconfig").strip(), "root:virtual-kubelet 640"
    )
    expect(
        tree("sh", "-c", f"stat -c '%U:%G %a' /var/lib/virtual-kubelet/{NODE}/pki/*.pem").strip(),
        "virtual-kubelet:virtual-kubelet 600",
    )
    write(tree, "/etc/virtual-kubelet/config.toml", SETTINGS)
    tree("install", "-d", "-o", "virtual-kubelet", "-m", "700", "/run/virtual-kubelet")
    said = tree(
        "setpriv", "--reuid=virtual-kubelet", "--regid=virtual-kubelet", "--clear-groups", "virtual-kubelet", "check",
        "--config", "/etc/virtual-kubelet/config.toml", "--state-dir", "/var/lib/virtual-kubelet",
    )  # fmt: skip
    print(f"check: {said.strip().splitlines()[-1]}")


def write(tree: Tree, inside: str, text: str) -> None:
    """Write a file of the tree; one that is there keeps owner and mode."""
    tree.path(inside).write_text(text)


class Manager:
    """What systemd is to a unit: runs its command as its user, and hears its notices."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        place = tree.path("/run/virtual-kubelet/notify")
        place.unlink(missing_ok=True)
        self._socket.bind(str(place))
        place.chmod(0o777)
        self._socket.settimeout(60)
        self._running: list[subprocess.Popen[bytes]] = []

    def start(self, name: str) -> subprocess.Popen[bytes]:
        """Run a unit; return when it says READY."""
        command, environment, user = unit(self._tree, name)
        notices = {"NOTIFY_SOCKET": "/run/virtual-kubelet/notify", "WATCHDOG_USEC": "60000000"}
        began = time.monotonic()
        service = subprocess.Popen(
            ["/usr/sbin/chroot", "--userspec", f"{user}:{user}", self._tree.root, *command],
            env={"PATH": PATH, **notices, **environment},
        )
        self._running.append(service)
        while b"READY=1" not in self._socket.recv(4096):
            pass
        seconds, worked = time.monotonic() - began, processor_seconds(service.pid)
        print(f"{name}: READY after {seconds:.2f} s, {worked:.2f} s of them on a processor")
        # Where other work keeps the machine busy, the first number is that work's.
        if worked > LIMIT_SECONDS:
            sys.exit(f"that is more than {LIMIT_SECONDS} s")
        return service

    def stop(self, service: subprocess.Popen[bytes]) -> None:
        """End a unit's main process, and it alone; it has to end cleanly."""
        service.send_signal(signal.SIGTERM)
        expect(service.wait(30), 0)

    def close(self) -> None:
        """End everything."""
        for service in self._running:
            service.kill()
            service.wait()
        self._socket.close()
        end_processes(self._tree)


def processor_seconds(pid: int) -> float:
    """Return how long a process, all its threads together, has been on a processor."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def run_service(tree: Tree, plane: ControlPlane) -> None:
    """Start the services as systemd would; a pod has to outlive its agent, and its supervisor."""
    configure(tree, plane)
    administrator = tree.path("/tmp/admin.kubeconfig")
    plane.write_kubeconfig(administrator)
    client = Client(config.load(str(administrator)), qps=0)
    manager = Manager(tree)
    try:
        supervisor = manager.start("virtual-kubelet-supervisor")
        agent = manager.start("virtual-kubelet")
        run_pod(client)
        manager.stop(agent)
        manager.stop(supervisor)
        manager.start("virtual-kubelet-supervisor")
        agent = manager.start("virtual-kubelet")
        status = client.get(PODS, "hello", "default")["status"]
        expect((status["phase"], status["containerStatuses"][0]["restartCount"]), ("Running", 0))
        end_pod(client)
        manager.stop(agent)
    finally:
        manager.close()
        client.close()


def end_processes(tree: Tree) -> None:
    """End what runs in the tree: the supervisor, which outlives its agent on purpose."""
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "root").readlink() == tree.root:
                os.kill(int(entry.name), signal.SIGKILL)
        except OSError:
            continue


def run_pod(client: Client) -> None:
    """See a pod run."""
    conditions = client.get(NODES, NODE)["status"]["conditions"]
    expect([each["status"] for each in conditions if each["type"] == "Ready"], ["True"])
    pod = {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "hello", "namespace": "default"},
        "spec": {"nodeName": NODE, "terminationGracePeriodSeconds": 1, "tolerations": [{"operator": "Exists"}],
                 "containers": [{"name": "c", "image": "none", "command": ["sleep", "1000"]}]},
    }  # fmt: skip
    client.create(PODS, pod, "default")
    wait(
        lambda: client.get(PODS, "hello", "default").get("status", {}).get("phase") == "Running",
        "the pod runs",
    )


def end_pod(client: Client) -> None:
    """See it go."""
    client.delete(PODS, "hello", "default")
    wait(lambda: gone(client), "the pod goes")


def gone(client: Client) -> bool:
    """Tell whether the pod is gone."""
    try:
        client.get(PODS, "hello", "default")
    except ApiNotFound:
        return True
    return False


def upgrade(tree: Tree) -> None:
    """Install it again: what was edited stays."""
    marker = tree.path("/var/lib/virtual-kubelet/kept")
    marker.write_text("")
    tree("dpkg", "--install", "/tmp/virtual-kubelet.deb")
    expect(tree.path("/etc/virtual-kubelet/config.toml").read_text(), SETTINGS)
    expect(marker.exists(), wanted=True)


def remove(tree: Tree) -> None:
    """Remove it, then purge it."""
    tree("dpkg", "--remove", "virtual-kubelet")
    expect(tree.path("/usr/bin/virtual-kubelet").exists(), wanted=False)
    expect(tree.path("/usr/lib/virtual-kubelet").exists(), wanted=False)
    expect(tree.path("/etc/virtual-kubelet/config.toml").exists(), wanted=True)
    tree("dpkg", "--purge", "virtual-kubelet")
    for place in (
        "/etc/virtual-kubelet",
        "/var/lib/virtual-kubelet",
        "/var/log/virtual-kubelet",
        "/usr/share/doc/virtual-kubelet",
    ):
        expect(tree.path(place).exists(), wanted=False)
    expect(tree("getent", "passwd", "virtual-kubelet", check=False), "")


def wait(condition: Any, what: str, seconds: float = 30) -> None:
    """Wait until it holds."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            sys.exit(f"not within {seconds:g} s: {what}")
        time.sleep(0.1)  # noqa: TID251 - a script that nobody stops


def expect(found: object, wanted: object) -> None:
    """End the script unless both are the same."""
    if found != wanted:
        sys.exit(f"expected {json.dumps(wanted, default=str)}, found {json.dumps(found, default=str)}")


if __name__ == "__main__":
    main(*sys.argv[1:3])
