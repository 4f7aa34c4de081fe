"""Reads what the supervisor wrote of a container: lines by number, time and stream, also while they are written.

A log is the file that is being written and those that were full before (`<file>.<time>`). A reader knows where it
is by the file it has open, so that a rotation under it neither loses nor repeats a line.
"""

from __future__ import annotations

import contextlib
import os
import select
import threading
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from virtual_kubelet.errors import NotFound, ProviderError
from virtual_kubelet.provider import LogOptions
from virtual_kubelet.pure import times

__all__ = ["Entry", "LogReader", "listed", "parse", "segments"]

BLOCK = 64 * 1024
PIECE = 32 * 1024
ROTATIONS = 10  # that may come between two looks at the files' names
RETRY = 0.5  # seconds to the next try to follow, while the supervisor is away

Subscribe = Callable[[int], bool]
"""Give a descriptor to the log's writer, which writes to it when there is more, and closes it at the container's
end. False: the container has ended. Raises `ProviderError` when the writer cannot be asked."""


@dataclass(frozen=True)
class Entry:
    """One entry: a line, or a part of one that goes on in the next entry of its stream."""

    time: bytes
    stream: bytes
    whole: bool
    text: bytes


def parse(line: bytes) -> Entry | None:
    """Return the entry of one line of the file, None for what is no entry."""
    parts = line.rstrip(b"\n").split(b" ", 3)
    if len(parts) != 4 or parts[2] not in {b"F", b"P"}:
        return None
    return Entry(parts[0], parts[1], parts[2] == b"F", parts[3])


def listed(directory: Path, pattern: str) -> list[Path]:
    """Return what is below `directory` and matches, sorted; nothing of what is being removed."""
    try:
        return sorted(directory.glob(pattern))
    except FileNotFoundError:  # before Python 3.13; a directory that was found is gone when it is looked into
        return []


def segments(path: Path) -> list[Path]:
    """Return the files of a log, oldest first."""
    return [*listed(path.parent, f"{path.name}.*"), path]


class LogReader:
    """A `LogStream` of one container's log."""

    def __init__(self, path: Path, options: LogOptions, subscribe: Subscribe | None = None) -> None:
        self._path = path
        self._options = options
        self._subscribe = subscribe if options.follow else None
        self._stream = {"Stdout": b"stdout", "Stderr": b"stderr"}.get(options.stream)
        self._since = times.rfc3339_nano(options.since).encode() if options.since is not None else b""
        self._rest = options.limit_bytes
        self._inside: set[bytes] = set()  # streams whose last entry was a part of a line
        self._lock = threading.Lock()
        self._closed = False  # under the lock
        self._wake_reader, self._wake_writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._notify = -1
        self._pieces = self._read_pieces()
        try:
            self._lines = _Lines(path, options.tail, self._stream)
        except FileNotFoundError:
            self._release()
            raise NotFound("the log has been removed") from None

    def read(self) -> bytes:
        """Return some bytes; b"" at the end."""
        if self._is_closed():
            self._end()
            return b""
        try:
            return next(self._pieces, b"")
        except OSError:
            return b""

    def close(self) -> None:
        """Let go; wakes a blocked `read`."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            os.write(self._wake_writer, b".")
        self._end()

    def _end(self) -> None:
        try:
            self._pieces.close()
        except ValueError:
            return  # another thread is in it: it was woken, and its next `read` sees to it
        # Here too: a generator that was never begun ends without its last words.
        self._lines.close()
        self._release()

    def _read_pieces(self) -> Generator[bytes, None, None]:
        try:
            following = self._follow()
            while True:
                yield from self._available()
                if self._rest == 0 or not following:
                    return
                following = self._wait()
                if self._is_closed():
                    return
        finally:
            self._lines.close()
            self._release()

    def _is_closed(self) -> bool:
        with self._lock:
            return self._closed

    def _release(self) -> None:
        """Close the pipes; once more does no harm."""
        with self._lock:
            self._closed = True
            pipes = self._wake_reader, self._wake_writer, self._notify
            self._wake_reader = self._wake_writer = self._notify = -1
        for fd in pipes:
            if fd >= 0:
                os.close(fd)

    # -- what is there --------------------------------------------------------------------------------

    def _available(self) -> Iterator[bytes]:
        piece = bytearray()
        for line in self._lines:
            entry = parse(line)
            if entry is not None:
                piece += self._format(entry)
            if len(piece) >= PIECE:
                yield self._limited(piece)
                piece = bytearray()
                if self._rest == 0 or self._is_closed():
                    return
        if piece:
            yield self._limited(piece)

    def _format(self, entry: Entry) -> bytes:
        if (self._stream and entry.stream != self._stream) or entry.time < self._since:
            return b""
        prefix = b""
        if self._options.timestamps and entry.stream not in self._inside:
            prefix = entry.time + b" "
        if entry.whole:
            self._inside.discard(entry.stream)
            return prefix + entry.text + b"\n"
        self._inside.add(entry.stream)
        return prefix + entry.text

    def _limited(self, piece: bytearray) -> bytes:
        data = bytes(piece)
        if self._rest is not None:
            data = data[: self._rest]
            self._rest -= len(data)
        return data

    # -- what will come -------------------------------------------------------------------------------

    def _follow(self) -> bool:
        """Ask to be told of more; False when no more will come."""
        if self._subscribe is None:
            return False
        if self._notify >= 0:
            os.close(self._notify)
        self._notify, writer = os.pipe2(os.O_CLOEXEC)
        try:
            return self._subscribe(writer)
        except NotFound:
            return False
        except ProviderError:
            return True  # away for a moment: the closed pipe below brings the next try
        finally:
            os.close(writer)

    def _wait(self) -> bool:
        """Wait for more; False when what is there now is the rest."""
        poll = select.poll()
        poll.register(self._notify, select.POLLIN)
        poll.register(self._wake_reader, select.POLLIN)
        poll.poll()
        if self._is_closed() or os.read(self._notify, 4096):
            return True
        # Closed at the other side: the container has ended, or the supervisor has.
        following = self._follow()
        if following:
            pause = select.poll()
            pause.register(self._wake_reader, select.POLLIN)
            pause.poll(RETRY * 1000)
        return following


class _Lines:
    """The lines of a log from some point on, through all files; ends where the writer is, and goes on later."""

    def __init__(self, path: Path, tail: int | None, stream: bytes | None) -> None:
        self._path = path
        self._partial = b""
        files = _open_all(path)
        self._file = files[0] if tail is None else _seek_tail(files, tail, stream)
        for file in files:
            if file is not self._file:
                file.close()

    def __iter__(self) -> Iterator[bytes]:
        """Yield the lines that are complete now."""
        while True:
            yield from self._rest_of_file()
            following = self._next_file()
            if following is None:
                return
            # It was not written to after it had been renamed, but perhaps between our last read and that.
            yield from self._rest_of_file()
            self._file.close()
            self._file = following
            self._partial = b""

    def _rest_of_file(self) -> Iterator[bytes]:
        while block := self._file.read(BLOCK):
            lines = (self._partial + block).split(b"\n")
            self._partial = lines.pop()
            yield from lines

    def _next_file(self) -> BinaryIO | None:
        inode = os.fstat(self._file.fileno()).st_ino
        for _ in range(ROTATIONS):
            paths = segments(self._path)
            if not self._path.exists() and segments(self._path) == paths:
                # In the middle of a rotation, which lasts while the writer stands still or the disk is full.
                paths.pop()
            try:
                inodes = [path.stat().st_ino for path in paths]
                if not inodes or inodes[-1] == inode:
                    return None
                if inode in inodes:
                    return paths[inodes.index(inode) + 1].open("rb")
                if os.fstat(self._file.fileno()).st_nlink == 0:
                    return paths[0].open("rb")  # what was removed was older than all that is there
                # Renamed since the names were listed: under its new one it is there.
            except FileNotFoundError:
                continue  # rotated again under us
        return None

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _open_all(path: Path) -> list[BinaryIO]:
    """Open the files of a log, oldest first; raise `FileNotFoundError` when there is none."""
    # Before the others are listed: a rotation in between gives it a name among theirs, and hides none of them.
    newest = _open(path)
    files = [file for older in segments(path)[:-1] if (file := _open(older)) is not None]
    if newest is not None:
        if any(os.path.sameopenfile(newest.fileno(), file.fileno()) for file in files):
            newest.close()
        else:
            files.append(newest)
    if not files:
        raise FileNotFoundError(path)
    return files


def _open(path: Path) -> BinaryIO | None:
    """Open one file; None when it has been removed or renamed."""
    with contextlib.suppress(FileNotFoundError):
        return path.open("rb")
    return None


def _seek_tail(files: list[BinaryIO], count: int, stream: bytes | None) -> BinaryIO:
    """Return the file in which the last `count` lines begin, at their place."""
    wanted = count
    for file in reversed(files):
        for end, line in _backwards(file):
            entry = parse(line)
            if entry is None or not entry.whole or (stream and entry.stream != stream):
                continue
            if wanted == 0:
                file.seek(end)
                return file
            wanted -= 1
        file.seek(0)
    return files[0]


def _backwards(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yield the complete lines of a file from its end, each with the offset behind it."""
    end = position = file.seek(0, os.SEEK_END)
    rest = b""
    unfinished = True  # what follows the last newline is still being written
    while position > 0:
        size = min(BLOCK, position)
        position -= size
        file.seek(position)
        rest, *lines = (file.read(size) + rest).split(b"\n")
        for line in reversed(lines):
            if unfinished:
                unfinished = False
                end -= len(line)
                continue
            yield end, line
            end -= len(line) + 1
    if not unfinished:
        yield end, rest
