"""What goes wrong on the wire: either we broke a protocol's rules, or the peer did.

The protocols of this package never raise anything else about the bytes that they are given, whatever those
bytes are. A protocol core that met a `RemoteProtocolError` keeps it in its `error` and reads no further.
"""

from __future__ import annotations

from virtual_kubelet.errors import VirtualKubeletError

__all__ = ["LocalProtocolError", "ProtocolError", "RemoteProtocolError"]


class ProtocolError(VirtualKubeletError):
    """A rule of a streaming protocol was broken."""

    status = 400


class LocalProtocolError(ProtocolError):
    """The caller asked for what the protocol forbids now, for example data after the end of a stream."""

    status = 500


class RemoteProtocolError(ProtocolError):
    """The peer sent what the protocol forbids; the text says what, and never quotes payload."""

    def __init__(self, message: str, *, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        """How to tell the peer: a SPDY status or a WebSocket close code; None: the protocol's general one."""
