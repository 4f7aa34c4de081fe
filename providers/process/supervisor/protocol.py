"""How agent and supervisor talk: frames of JSON on a unix stream socket, with file descriptors beside them.

A frame is four bytes of length (big endian) and that many bytes of a JSON object. Descriptors travel with the
first byte of the frame that counts them in `fds`. The agent sends requests `{"id": n, "op": name, ...}`; each
is answered once by `{"id": n, "result": {...}}` or `{"id": n, "error": {"code": ..., "message": ...}}`, in any
order. The supervisor also sends `{"event": name, ...}` to whoever asked for events.

The first request is `hello` with the protocols that the agent speaks; the answer names the one to use and the
operations that there are, so that a newer agent knows what an older supervisor cannot do. Within a protocol
fields and operations are only added; unknown fields are ignored.
"""

from __future__ import annotations

import json
import os
import socket
import struct
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

__all__ = [
    "LOCK_NAME",
    "MARKER",
    "MAX_FDS",
    "MAX_FRAME",
    "PROTOCOL",
    "SOCKET_NAME",
    "FrameReader",
    "Message",
    "ProtocolError",
    "encode",
    "receive",
    "unix_address",
]

PROTOCOL = 1
SOCKET_NAME = "supervisor.sock"
LOCK_NAME = "supervisor.lock"
MARKER = "VIRTUAL_KUBELET_CONTAINER"
"""The variable in the environment of each process of a container: the supervisor's own name, and the container."""

MAX_FRAME = 32 * 1024 * 1024  # arguments and environment together may be 2 MiB, and JSON writes bytes long
MAX_FDS = 8

Message: TypeAlias = dict[str, Any]
_LENGTH = struct.Struct(">I")


class ProtocolError(Exception):
    """The other side does not keep to the protocol: the connection is of no use any more."""


def encode(message: Message) -> bytes:
    """Return the frame of `message`."""
    body = json.dumps(message, separators=(",", ":")).encode()
    if len(body) > MAX_FRAME:
        raise ProtocolError(f"a message of {len(body)} bytes is too long")
    return _LENGTH.pack(len(body)) + body


class FrameReader:
    """Bytes and descriptors in, messages out; each message's `fds` become the descriptors themselves."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._fds: deque[int] = deque()

    def feed(self, data: bytes, fds: Sequence[int] = ()) -> Iterator[Message]:
        """Yield the messages that are complete now; raise `ProtocolError`."""
        self._buffer += data
        self._fds.extend(fds)
        while len(self._buffer) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer)
            if length > MAX_FRAME:
                raise ProtocolError(f"a message of {length} bytes is announced")
            end = _LENGTH.size + length
            if len(self._buffer) < end:
                return
            body = bytes(self._buffer[_LENGTH.size : end])
            del self._buffer[:end]
            yield self._message(body)

    def _message(self, body: bytes) -> Message:
        try:
            message = json.loads(body)
        except ValueError as error:
            raise ProtocolError(f"a message is not JSON: {error}") from error
        if not isinstance(message, dict):
            raise ProtocolError("a message is not an object")
        count = message.get("fds", 0)
        if not isinstance(count, int) or count > len(self._fds):
            raise ProtocolError(f"a message says {count} descriptors, {len(self._fds)} came")
        message["fds"] = [self._fds.popleft() for _ in range(count)]
        return message

    def close(self) -> None:
        """Close the descriptors that no message has claimed."""
        while self._fds:
            os.close(self._fds.popleft())


def receive(connection: socket.socket, size: int = 65536) -> tuple[bytes, list[int]]:
    """Read what is there; b"" at the end. The descriptors are not inherited by children."""
    data, fds, _flags, _address = socket.recv_fds(connection, size, MAX_FDS, socket.MSG_CMSG_CLOEXEC)
    for fd in fds:
        os.set_inheritable(fd, False)
    return data, list(fds)


@contextmanager
def unix_address(path: Path) -> Iterator[str]:
    """Give an address for the socket at `path` that fits: the kernel allows 107 bytes, directories do not."""
    if len(os.fsencode(path)) < 108:
        yield str(path)
        return
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)
