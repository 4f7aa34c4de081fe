"""Real mounts at absolute paths for processes that share the machine's files: a mount namespace of their own.

Root gets a mount namespace alone; others get one inside a user namespace in which they are who they are. A path
to mount on often does not exist on the machine, and nothing may be made there for it. So the deepest directory
that does exist is covered by a small tmpfs in which everything it holds is mounted again, beside the new
names; for names right below `/` the whole root is rebuilt that way and pivoted to. What the machine creates in
a covered directory later is not seen.

Called in a forked child, between fork and exec. See mount(2), pivot_root(2), user_namespaces(7).
"""

from __future__ import annotations

import ctypes
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["NONE", "ROOT", "USER", "Mount", "available", "create", "enter"]

NONE = ""
ROOT = "root"
USER = "user"

CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_REMOUNT, MS_BIND, MS_REC, MS_SLAVE, MS_PRIVATE = 32, 4096, 16384, 1 << 19, 1 << 18
MNT_DETACH = 2
_SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41, "riscv64": 41, "ppc64le": 203, "s390x": 217}

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Mount:
    """The file or directory `source`, seen at `target` (both absolute)."""

    source: str
    target: str
    read_only: bool = False


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    result = _libc.mount(
        os.fsencode(source),
        os.fsencode(target),
        kind.encode(),
        ctypes.c_ulong(flags),
        data.encode() if data else None,
    )
    _check(result, f"mount {target}")


def available() -> str:
    """Return how this process can make mount namespaces: ROOT, USER or NONE; tried in a child."""
    for kind, flags in ((ROOT, CLONE_NEWNS), (USER, CLONE_NEWUSER | CLONE_NEWNS)):
        if kind == ROOT and os.geteuid() != 0:
            continue
        pid = os.fork()
        if pid == 0:
            _try(flags)
        if os.waitpid(pid, 0)[1] == 0:
            return kind
    return NONE


def _try(flags: int) -> None:
    status = 1
    try:
        _unshare(flags)
        _mount("", "/", "", MS_REC | MS_SLAVE)
        _mount("tmpfs", "/proc", "tmpfs", MS_NOSUID | MS_NODEV, "size=4k")
        status = 0
    finally:
        os._exit(status)


def _unshare(flags: int) -> None:
    user, group = os.geteuid(), os.getegid()
    _check(_libc.unshare(flags), "unshare")
    if flags & CLONE_NEWUSER:
        _write("/proc/self/setgroups", "deny")
        _write("/proc/self/uid_map", f"{user} {user} 1")
        _write("/proc/self/gid_map", f"{group} {group} 1")


def _write(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def create(kind: str, mounts: Sequence[Mount], workspace: str) -> None:
    """Give the calling process a mount namespace with `mounts` in it; raise `OSError`.

    `workspace` is an empty directory that may be covered while the root is rebuilt.
    """
    _unshare(CLONE_NEWNS | (CLONE_NEWUSER if kind == USER else 0))
    # Slave: mounts and, above all, unmounts of the machine still arrive; none of ours leaves.
    _mount("", "/", "", MS_REC | MS_SLAVE)
    ordered = sorted(mounts, key=lambda mount: mount.target.count("/"))
    if any(_needs_new_root(mount.target) for mount in ordered):
        _rebuild_root(workspace)
    # Sources may lie below what gets covered: take hold of them first.
    held = [(mount, os.open(mount.source, os.O_PATH | os.O_CLOEXEC)) for mount in ordered]
    for mount, source in held:
        _provide_target(mount.target, directory=stat.S_ISDIR(os.fstat(source).st_mode))
        _bind(f"/proc/self/fd/{source}", mount.target, read_only=mount.read_only)
        os.close(source)


def _needs_new_root(target: str) -> bool:
    return not os.path.lexists("/" + target.strip("/").partition("/")[0])


def _bind(source: str, target: str, *, read_only: bool = False) -> None:
    _mount(source, target, "", MS_BIND | MS_REC)
    if read_only:
        # A bind takes the flags of its source; in a user namespace those that it has may not be dropped.
        flags = _flags(target)
        _mount("", target, "", MS_REMOUNT | MS_BIND | MS_RDONLY | flags)


def _flags(path: str) -> int:
    have = os.statvfs(path).f_flag
    pairs = ((os.ST_NOSUID, MS_NOSUID), (os.ST_NODEV, MS_NODEV), (os.ST_NOEXEC, MS_NOEXEC))
    atime = ((os.ST_NOATIME, 1024), (os.ST_NODIRATIME, 2048), (os.ST_RELATIME, 1 << 21))
    return sum(flag for bit, flag in (*pairs, *atime) if have & bit)


def _provide_target(target: str, *, directory: bool) -> None:
    if os.path.exists(target):
        if os.path.isdir(target) != directory:
            raise OSError(f"{target} exists and is {'not ' if directory else ''}a directory")
        return
    ancestor = os.path.dirname(target)
    while not os.path.isdir(ancestor):
        ancestor = os.path.dirname(ancestor)
    if not _ours(ancestor):
        _cover(os.path.realpath(ancestor))
    os.makedirs(target if directory else os.path.dirname(target), exist_ok=True)
    if not directory:
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT, 0o644))


_covered: set[int] = set()  # devices of the tmpfs that this child has made


def _ours(path: str) -> bool:
    return os.stat(path).st_dev in _covered


def _cover(directory: str) -> None:
    """Mount a tmpfs on `directory` and show in it everything that was there."""
    original = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        mode = stat.S_IMODE(os.fstat(original).st_mode)
        names = os.listdir(original)
        _mount("tmpfs", directory, "tmpfs", MS_NOSUID | MS_NODEV, f"mode={mode:o}")
        _covered.add(os.stat(directory).st_dev)
        _show(f"/proc/self/fd/{original}", names, directory)
    finally:
        os.close(original)


def _show(source: str, names: Sequence[str], target: str) -> None:
    for name in names:
        old, new = f"{source}/{name}", f"{target}/{name}"
        mode = os.lstat(old).st_mode
        if stat.S_ISLNK(mode):
            os.symlink(os.readlink(old), new)
            continue
        if stat.S_ISDIR(mode):
            os.mkdir(new)
        else:
            os.close(os.open(new, os.O_WRONLY | os.O_CREAT, 0o644))
        _bind(old, new)


def _rebuild_root(workspace: str) -> None:
    _mount("tmpfs", workspace, "tmpfs", MS_NOSUID | MS_NODEV, "mode=755")
    _covered.add(os.stat(workspace).st_dev)
    _show("", os.listdir("/"), workspace)
    os.chdir(workspace)
    number = _SYS_PIVOT_ROOT.get(os.uname().machine)
    if number is None:
        os.chroot(".")
    else:
        # Old root on top of the new one, then taken away from there: pivot_root(2), "pivot_root(".", ".")".
        _check(_libc.syscall(number, b".", b"."), "pivot_root")
        _check(_libc.umount2(b".", MNT_DETACH), "umount the old root")
        _libc.umount2(os.fsencode(workspace), MNT_DETACH)  # the new root's picture of itself, if it has one
    os.chdir("/")


def enter(pid: int, which: Sequence[str]) -> None:
    """Take the calling process into the namespaces (`user`, `mnt`) of another one; raise `OSError`."""
    fds = [os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY | os.O_CLOEXEC) for name in which]
    for fd in fds:
        _check(_libc.setns(fd, 0), "setns")
        os.close(fd)
