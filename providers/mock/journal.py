"""What a mock node remembers across a restart: an append-only file of JSON lines.

A line is a whole pod, or `{"gone": uid}`. The file is written anew, with what is left, each time it is
opened, so that it stays in proportion to the pods that exist. A line that a crash cut short is dropped.
"""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path

from virtual_kubelet import codec
from virtual_kubelet.objects import Pod

__all__ = ["Journal"]


class Journal:
    """Pods on disk. Safe from any thread."""

    def __init__(self, directory: str) -> None:
        self._path = Path(directory) / "mock-pods.jsonl"
        self._lock = threading.Lock()  # guards _descriptor, and orders whole lines
        self._descriptor = -1

    def open(self) -> list[Pod]:
        """Return the pods that were there, and begin to write."""
        pods = self._read()
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = self._path.with_suffix(".new")
        fresh.touch(mode=0o600)
        fresh.write_bytes(b"".join(codec.dumps(pod) + b"\n" for pod in pods))
        fresh.replace(self._path)
        with self._lock:
            self._descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        return pods

    def keep(self, encoded_pod: bytes) -> None:
        """Remember a pod, given as compact JSON, in place of an older state of it."""
        self._append(encoded_pod)

    def drop(self, uid: str) -> None:
        """Forget the pod `uid`."""
        self._append(codec.dumps({"gone": uid}))

    def close(self) -> None:
        """Stop writing; what was written stays."""
        with self._lock:
            descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def remove(self) -> None:
        """Stop writing, and forget everything."""
        self.close()
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()

    def _append(self, line: bytes) -> None:
        with self._lock:
            if self._descriptor >= 0:
                os.write(self._descriptor, line + b"\n")  # one write: a line is never torn by another thread

    def _read(self) -> list[Pod]:
        pods: dict[str, Pod] = {}
        try:
            lines = self._path.read_bytes().split(b"\n")
        except FileNotFoundError:
            return []
        for line in lines:
            try:
                entry = codec.loads(line)
            except ValueError:
                continue  # the end of the file, or a line that a crash cut short
            if "gone" in entry:
                pods.pop(entry["gone"], None)
            else:
                pods[entry["metadata"]["uid"]] = entry
        return list(pods.values())
