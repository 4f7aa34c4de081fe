"""Where a container's volumes, working directory and termination message stand, and how it learns of that.

A container has a directory of its own, which is its working directory unless it names another one:

- a mountPath that is relative leads there: a link below the directory;
- a mountPath that is absolute is a real mount, in a mount namespace of the container's, where the machine allows
  those; where it does not, the pod is refused by name, but for the service account volume that admission
  adds to every pod: that is where the variable VIRTUAL_KUBELET_SERVICE_ACCOUNT says.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from virtual_kubelet.errors import InvalidInput
from virtual_kubelet.objects import Container, JsonObject, Pod
from virtual_kubelet.podruntime.containers import slots
from virtual_kubelet.podruntime.driver import ContainerRequest, Mount
from virtual_kubelet.podruntime.volumes import is_service_account

__all__ = ["Layout", "absolute_mounts", "arrange", "give"]

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
DEFAULT_MESSAGE_PATH = "/dev/termination-log"


@dataclass(frozen=True)
class Layout:
    """What the supervisor is asked for."""

    cwd: str
    env: dict[str, str]
    mounts: list[JsonObject]


def absolute_mounts(pod: Pod) -> list[str]:
    """Return the absolute mountPaths of a pod that need real mounts."""
    optional = {volume["name"] for volume in pod["spec"].get("volumes") or () if is_service_account(volume)}
    return [
        str(mount["mountPath"])
        for slot in slots(pod)
        for mount in slot.container.get("volumeMounts") or ()
        if str(mount["mountPath"]).startswith("/") and mount["name"] not in optional
    ]


def arrange(request: ContainerRequest, *, can_mount: bool) -> Layout:
    """Make the container's directory and return the rest; raise `InvalidInput`."""
    directory = Path(request.directory)
    env = _environment(request)
    mounts: list[JsonObject] = []
    for mount in request.mounts:
        if not mount.target.startswith("/"):
            _link(directory, mount)
        elif can_mount:
            mounts.append(_real(mount))
        elif not mount.optional:
            raise InvalidInput(
                f'volume "{mount.name}": {mount.target} cannot be mounted: this node has no mount namespaces;'
                " allow unprivileged user namespaces, or use a relative mountPath"
            )
        if mount.optional:
            env.setdefault("VIRTUAL_KUBELET_SERVICE_ACCOUNT", mount.target if can_mount else mount.source)
    _add_message_path(request.container, request, mounts, env, can_mount=can_mount)
    return Layout(_working_directory(request), env, mounts)


def give(directory: Path, user: int, group: int, *, below: Path) -> None:
    """Give a container's directory to the user that it runs as, and let that one pass, not look, on the way to it."""
    os.chown(directory, user, group)
    for parent in directory.parents:
        parent.chmod(parent.stat().st_mode | 0o011)
        if parent == below:
            break


def _environment(request: ContainerRequest) -> dict[str, str]:
    defaults = {
        "PATH": DEFAULT_PATH,
        "HOME": request.directory,
        "HOSTNAME": request.pod["spec"].get("hostname") or request.pod["metadata"]["name"],
        "VIRTUAL_KUBELET_DIRECTORY": request.directory,
        "VIRTUAL_KUBELET_TERMINATION_LOG": request.termination_log,
    }
    if request.container.get("tty"):
        defaults["TERM"] = "xterm"
    return {**defaults, **request.environment}


def _real(mount: Mount) -> JsonObject:
    target = os.path.normpath(mount.target)
    if target == "/":
        raise InvalidInput(f'volume "{mount.name}" cannot be mounted at /')
    return {"source": mount.source, "target": target, "read_only": mount.read_only}


def _link(directory: Path, mount: Mount) -> None:
    parts = Path(mount.target).parts
    if not parts or ".." in parts:
        raise InvalidInput(f'volume "{mount.name}": mountPath "{mount.target}" leads out of the container')
    place = directory.joinpath(*parts)
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.is_symlink():
        place.unlink()
    elif place.exists():
        raise InvalidInput(f'volume "{mount.name}": "{mount.target}" is there already in the container')
    place.symlink_to(mount.source)


def _add_message_path(
    container: Container,
    request: ContainerRequest,
    mounts: list[JsonObject],
    env: dict[str, str],
    *,
    can_mount: bool,
) -> None:
    path = container.get("terminationMessagePath") or DEFAULT_MESSAGE_PATH
    if path.startswith("/"):
        if can_mount:
            mounts.append({"source": request.termination_log, "target": os.path.normpath(path)})
        return
    place = Path(request.directory) / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.unlink(missing_ok=True)
    place.symlink_to(request.termination_log)
    env["VIRTUAL_KUBELET_TERMINATION_LOG"] = str(place)


def _working_directory(request: ContainerRequest) -> str:
    return os.path.normpath(Path(request.directory) / (request.container.get("workingDir") or ""))
