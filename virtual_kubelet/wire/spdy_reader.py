"""Cuts the bytes of a SPDY connection into frames, whatever pieces they arrive in.

Memory is bounded by the peer's last piece plus one control frame: data is passed on as it comes, so a frame
of 16 MiB is never held, and control frames above the limit are refused by their head.
"""

from __future__ import annotations

from virtual_kubelet.wire.protocol_errors import RemoteProtocolError
from virtual_kubelet.wire.spdy_frames import (
    FLAG_FIN,
    FRAMES,
    HEAD,
    ID_MASK,
    MAX_LENGTH,
    VERSION,
    ControlFrame,
    Data,
    Frame,
    Status,
)

__all__ = ["FrameReader"]

CONTROL_BIT = 0x8000_0000


class FrameReader:
    """`feed` bytes, then take frames with `next_frame` until it has none.

    Args:
        max_control_frame: bytes that a control frame may have after its head.
    """

    def __init__(self, *, max_control_frame: int) -> None:
        self._max_control_frame = max_control_frame
        self._buffer = b""
        self._position = 0
        self._data: tuple[int, bool] | None = None  # the data frame that we are inside of: stream, fin
        self._remaining = 0  # bytes of the frame that are still to come, of a data frame or one to skip

    @property
    def inside_frame(self) -> bool:
        """Tell whether an end of the connection now would cut a frame in two."""
        return self._remaining > 0 or self._position < len(self._buffer)

    def feed(self, data: bytes) -> None:
        """Add what was received."""
        if self._position == len(self._buffer):
            self._buffer = data  # the usual case: nothing was left over, and nothing is copied
        else:
            self._buffer = self._buffer[self._position :] + data
        self._position = 0

    def next_frame(self) -> Frame | None:
        """Return the next frame, or a part of a data frame, or None when more bytes are needed.

        Raises:
            RemoteProtocolError: what follows is no frame; the connection cannot be read any further.
        """
        while True:
            if self._remaining:
                piece = self._take_piece()
                if piece is not None or self._remaining:
                    return piece
            elif len(self._buffer) - self._position < HEAD.size:
                return None
            else:
                word, flags_and_length = HEAD.unpack_from(self._buffer, self._position)
                flags, length = flags_and_length >> 24, flags_and_length & MAX_LENGTH
                if not word & CONTROL_BIT:
                    if (data := self._begin_data(word, flags, length)) is not None:
                        return data
                elif (frame_type := self._control_type(word, length)) is None:
                    self._position += HEAD.size
                    self._data, self._remaining = None, length
                else:
                    return self._control_frame(frame_type, flags, length)

    def _begin_data(self, stream_id: int, flags: int, length: int) -> Data | None:
        self._position += HEAD.size
        self._data, self._remaining = (stream_id & ID_MASK, bool(flags & FLAG_FIN)), length
        return None if length else Data(stream_id, b"", bool(flags & FLAG_FIN))

    def _take_piece(self) -> Data | None:
        """Take what is there of the frame's payload; None when nothing is there or it is to be skipped."""
        available = len(self._buffer) - self._position
        if not available:
            return None
        size = min(available, self._remaining)
        if self._data is None:
            self._position += size
            self._remaining -= size
            return None
        piece = self._buffer[self._position : self._position + size]
        self._position += size
        self._remaining -= size
        stream_id, fin = self._data
        return Data(stream_id, piece, fin and not self._remaining)

    def _control_type(self, word: int, length: int) -> type[ControlFrame] | None:
        """Return the class of a control frame, None for one that is skipped."""
        version = word >> 16 & 0x7FFF
        if version != VERSION:
            raise RemoteProtocolError(
                f"control frame of SPDY version {version} instead of {VERSION}",
                code=Status.UNSUPPORTED_VERSION,
            )
        frame_type = FRAMES.get(word & 0xFFFF)
        if frame_type is not None and length > self._max_control_frame:
            raise RemoteProtocolError(
                f"{frame_type.__name__} frame of {length} bytes; at most {self._max_control_frame} are taken"
            )
        return frame_type

    def _control_frame(self, frame_type: type[ControlFrame], flags: int, length: int) -> ControlFrame | None:
        start = self._position + HEAD.size
        if len(self._buffer) - start < length:
            return None
        payload = self._buffer[start : start + length]
        self._position = start + length
        return frame_type.parse(flags, payload)
