"""The remotecommand protocol of exec and attach: versions, streams, resizes and how a command ended.

Over SPDY the client opens one stream for each name, over WebSocket each name has a channel number. The
versions (`k8s.io/apimachinery` remotecommand/constants.go; v5 exists on WebSocket only):

    v1 channel.k8s.io      stdin has no end, errors are text
    v2 v2.channel.k8s.io   stdin ends with the client's half-close
    v3 v3.channel.k8s.io   + resize
    v4 v4.channel.k8s.io   + the error stream ends with a metav1.Status as JSON, on success too
    v5 v5.channel.k8s.io   + half-close over WebSocket
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from virtual_kubelet import codec
from virtual_kubelet.wire.protocol_errors import RemoteProtocolError

__all__ = [
    "CHANNELS",
    "SPDY_VERSIONS",
    "Outcome",
    "ResizeDecoder",
    "Streams",
    "failure",
    "negotiate",
    "outcome",
]

ERROR, STDIN, STDOUT, STDERR, RESIZE = "error", "stdin", "stdout", "stderr", "resize"

CHANNELS: Final = {STDIN: 0, STDOUT: 1, STDERR: 2, ERROR: 3, RESIZE: 4}
"""Channel numbers on a WebSocket."""

SPDY_VERSIONS: Final = {
    "v4.channel.k8s.io": 4,
    "v3.channel.k8s.io": 3,
    "v2.channel.k8s.io": 2,
    "channel.k8s.io": 1,
}
"""What is spoken over SPDY; the names are those of X-Stream-Protocol-Version."""

MAX_RESIZE = 65536  # bytes of resize objects that are looked at together; one takes about thirty
MAX_SIZE = 65535  # a terminal's width or height is a uint16
MAX_EXIT_CODE = 255


def negotiate(offered: Iterable[str], supported: Iterable[str]) -> str | None:
    """Return the first of the client's protocols that we support, or None."""
    known = set(supported)
    return next((name for name in offered if name in known), None)


@dataclass(frozen=True)
class Streams:
    """What a client asked for. A tty has no stderr: what the program writes there is on stdout."""

    stdin: bool = False
    stdout: bool = False
    stderr: bool = False
    tty: bool = False

    def names(self, version: int) -> frozenset[str]:
        """Return the streams that the session consists of."""
        wanted = {
            ERROR: True,
            STDIN: self.stdin,
            STDOUT: self.stdout,
            STDERR: self.stderr and not self.tty,
            RESIZE: self.tty and version >= 3,
        }
        return frozenset(name for name, is_wanted in wanted.items() if is_wanted)


def outcome(exit_code: int, version: int) -> bytes:
    """Return what the error stream says of a command that ran; b"" where the version says nothing.

    Codes that no process has are made to fit a byte: negative ones count as signals, as in a shell.
    """
    if exit_code < 0:
        exit_code = 128 - exit_code
    exit_code = min(exit_code, MAX_EXIT_CODE)
    if exit_code == 0:
        return codec.dumps({"metadata": {}, "status": "Success"}) if version >= 4 else b""
    message = f"command terminated with non-zero exit code: exit status {exit_code}"
    if version < 4:
        return message.encode()
    cause = {"reason": "ExitCode", "message": str(exit_code)}
    return codec.dumps(
        {
            "metadata": {},
            "status": "Failure",
            "reason": "NonZeroExitCode",
            "message": message,
            "details": {"causes": [cause]},
        }
    )


def failure(message: str, version: int) -> bytes:
    """Return what the error stream says when the command could not be run or was lost."""
    if version < 4:
        return message.encode("utf-8", "replace")
    return codec.dumps(
        {
            "metadata": {},
            "status": "Failure",
            "reason": "InternalError",
            "message": f"Internal error occurred: {message}",
            "details": {"causes": [{"message": message}]},
            "code": 500,
        }
    )


@dataclass(frozen=True)
class Outcome:
    """What a client reads from the error stream."""

    exit_code: int | None  # None: the command did not run to an end
    message: str = ""

    @classmethod
    def parse(cls, data: bytes, version: int) -> Outcome:
        """Read the error stream's content.

        Raises:
            RemoteProtocolError: from version 4 on, when it is not a metav1.Status.
        """
        if version < 4:
            return cls(None, data.decode("utf-8", "replace")) if data else cls(0)
        try:
            status: Any = codec.loads(data)
        except (ValueError, RecursionError) as error:
            raise RemoteProtocolError("the error stream does not hold a Status") from error
        if not isinstance(status, dict) or status.get("status") not in {"Success", "Failure"}:
            raise RemoteProtocolError("the error stream does not hold a Status")
        if status["status"] == "Success":
            return cls(0)
        return cls(_exit_code(status), str(status.get("message", "")))


def _exit_code(status: dict[str, Any]) -> int | None:
    details = status.get("details")
    causes = details.get("causes") if isinstance(details, dict) else None
    for cause in causes if isinstance(causes, list) else []:
        if isinstance(cause, dict) and cause.get("reason") == "ExitCode":
            message = str(cause.get("message", ""))
            if message.isascii() and message.isdigit():
                return int(message[:4])
    return None


class ResizeDecoder:
    """Reads terminal sizes: JSON objects `{"Width":80,"Height":24}` one after the other, in any pieces."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> list[tuple[int, int]]:
        """Return the sizes, width and height, that `data` completes.

        Raises:
            RemoteProtocolError: what came is no such object.
        """
        sizes = []
        self._buffer += data
        if len(self._buffer) > MAX_RESIZE:
            raise RemoteProtocolError(f"terminal resizes of more than {MAX_RESIZE} bytes at once")
        while (end := self._buffer.find(b"}") + 1) > 0:  # the objects hold no other object
            sizes.append(_size(self._buffer[:end]))
            self._buffer = self._buffer[end:]
        self._buffer = self._buffer.lstrip()
        return sizes


def _size(document: bytes) -> tuple[int, int]:
    try:
        value = json.loads(document)
    except (ValueError, RecursionError) as error:
        raise RemoteProtocolError("a terminal resize is not JSON") from error
    width, height = (
        (value.get(key, 0) for key in ("Width", "Height")) if isinstance(value, dict) else (-1, -1)
    )
    if not all(type(number) is int and 0 <= number <= MAX_SIZE for number in (width, height)):
        raise RemoteProtocolError("a terminal resize has no Width and Height from 0 to 65535")
    return width, height
