"""Files that change all at once under a running container: the layout of the kubelet's configMap volumes.

    <volume>/..2026_01_02_03_04_05.a1b2c3/key     the content of one version
    <volume>/..data -> ..2026_01_02_03_04_05.a1b2c3
    <volume>/key -> ..data/key

A new version is written beside the old one, then `..data` is replaced by rename(2): a reader sees all of the
old files or all of the new ones. Programs that watch such volumes watch `..data`.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import time
from collections.abc import Mapping
from pathlib import Path

from virtual_kubelet.errors import InvalidInput
from virtual_kubelet.provider import File

__all__ = ["write"]

DATA = "..data"


def write(volume: Path, files: Mapping[str, File], *, group: int = -1) -> bool:
    """Make `volume` hold exactly `files`, by relative path; return whether anything changed.

    Args:
        volume: the directory, made if it is not there.
        files: what it is to hold.
        group: of the files; -1: the agent's own.
    """
    for path in files:
        _check(path)
    volume.mkdir(mode=0o755, parents=True, exist_ok=True)
    current = volume / DATA
    if _holds(current, files):
        return False
    version = volume / time.strftime(f"..%Y_%m_%d_%H_%M_%S.{secrets.token_hex(4)}", time.gmtime())
    version.mkdir(mode=0o755)
    try:
        for path, file in files.items():
            _write_file(version / path, file, group)
    except BaseException:
        shutil.rmtree(version, ignore_errors=True)
        raise
    old = current.resolve() if current.is_symlink() else None
    temporary = volume / "..data_tmp"
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(version.name)
    temporary.replace(current)
    _link_names(volume, files)
    if old is not None:
        shutil.rmtree(old, ignore_errors=True)
    return True


def _check(path: str) -> None:
    parts = path.split("/")
    if not path or path.startswith("/") or ".." in parts or parts[0].startswith(".."):
        raise InvalidInput(f'"{path}" cannot be a path in a volume')


def _holds(current: Path, files: Mapping[str, File]) -> bool:
    """Tell whether the newest version is the same already."""
    if not current.is_dir():
        return False
    # Leaving out the links would be wrong only for a volume that somebody else writes to.
    found = {
        os.path.relpath(os.path.join(directory, name), current)  # noqa: PTH118 - a thousand files are no Path each
        for directory, _, names in os.walk(current)
        for name in names
    }
    if found != set(files):
        return False
    for path, file in files.items():
        target = current / path
        if target.stat().st_mode & 0o7777 != file.mode or target.read_bytes() != file.content:
            return False
    return True


def _write_file(path: Path, file: File, group: int) -> None:
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as stream:
        stream.write(file.content)
        if group >= 0:
            with contextlib.suppress(OSError):
                os.fchown(fd, -1, group)  # root without the right to, or in a namespace without that group
        os.fchmod(fd, file.mode)  # the mode asked for, whatever the umask


def _link_names(volume: Path, files: Mapping[str, File]) -> None:
    names = {path.partition("/")[0] for path in files}
    for entry in volume.iterdir():
        if not entry.name.startswith("..") and entry.name not in names:
            entry.unlink()
    for name in names:
        with contextlib.suppress(FileExistsError):
            (volume / name).symlink_to(f"{DATA}/{name}")
