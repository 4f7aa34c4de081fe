"""`systemctl` of the reader's machine: enable --now and disable --now run and end the packaged unit's command."""

from __future__ import annotations

import os
import select
import shlex
import signal
import subprocess
import sys
from pathlib import Path

MACHINE = Path(os.environ["MACHINE"])


def unit(name):
    """Return the unit's text, as systemd would expand it, with this machine's places."""
    base, _, instance = name.partition("@")
    path = Path(os.environ["UNITS"]) / f"{base}{'@' if instance else ''}.service"
    text = path.read_text().replace("%i", instance)
    for place in ("/etc/virtual-kubelet", "/var/lib/virtual-kubelet", "/run/virtual-kubelet"):
        text = text.replace(place, f"{MACHINE}{place}")
    return text


def start(name):
    lines = [line.partition("=") for line in unit(name).splitlines() if "=" in line]
    (command,) = (value for key, _, value in lines if key == "ExecStart")
    environment = dict(os.environ)
    for key, _, value in lines:
        if key == "Environment":
            environment.update(item.split("=", 1) for item in shlex.split(value))
    command = command.replace("/usr/bin/virtual-kubelet", f"{os.environ['PYTHON']} -m virtual_kubelet", 1)
    log = (MACHINE / f"{name}.log").open("w")
    process = subprocess.Popen(
        shlex.split(command), env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
    )  # fmt: skip
    (MACHINE / f"{name}.pid").write_text(str(process.pid))


def pid(name):
    return int((MACHINE / f"{name}.pid").read_text())


def stop(name):
    watched = os.pidfd_open(pid(name))
    os.kill(pid(name), signal.SIGTERM)
    if not select.select([watched], [], [], 30)[0]:
        sys.exit(f"{name} does not stop")


def main(words):
    flags = [word for word in words if word.startswith("--")]
    verb, *names = [word for word in words if not word.startswith("--")]
    for name in names:
        if verb == "enable" and "--now" in flags:
            start(name)
        elif verb == "disable" and "--now" in flags:
            stop(name)
        elif verb == "status":
            os.kill(pid(name), 0)
        else:
            sys.exit(f"systemctl {verb} is not known on this machine")


main(sys.argv[1:])
