"""TLS whose one direction can end while the other goes on, as a command's input does: an `ssl.SSLSocket` cannot.

    your socket  --plain bytes-->  a thread, TLS in memory  --TLS-->  the engine

The end of what you send becomes a close_notify, which leaves the other direction as it is; Docker's own clients need
no more. The thread ends with either side.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl

from virtual_kubelet.runtime.threads import spawn

__all__ = ["open_tls"]

PIECE = 65536
ENOUGH = 4 * PIECE  # bytes that wait for a slow side before the other is kept waiting, too
HANG_UP = select.POLLHUP | select.POLLERR | select.POLLNVAL


def open_tls(sock: socket.socket, context: ssl.SSLContext, host: str) -> socket.socket:
    """Return a socket of plain bytes in place of the connected `sock`; raise `OSError`. `sock` has its timeout set."""
    pipe = _Pipe(sock, context, host)
    try:
        pipe.handshake()
    except BaseException:
        sock.close()
        raise
    try:
        ours, pipe.plain = socket.socketpair()
    except BaseException:
        sock.close()
        raise
    try:
        spawn(pipe.run, name="engine-tls")
    except BaseException:
        for item in (ours, pipe.plain, sock):
            item.close()
        raise
    return ours


class _Pipe:
    """Both sides; its thread's own once it runs."""

    plain: socket.socket

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, host: str) -> None:
        self._sock = sock
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._to_engine, self._to_plain = bytearray(), bytearray()
        self._engine_ended = self._plain_ended = False

    def handshake(self) -> None:
        """Agree with the engine; blocks."""
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._sock.sendall(self._outgoing.read())
                data = self._sock.recv(PIECE)
                if not data:
                    raise ConnectionResetError("the connection was closed in the TLS handshake") from None
                self._incoming.write(data)
            else:
                self._sock.sendall(self._outgoing.read())
                return

    def run(self) -> None:
        """Carry bytes until either side is gone."""
        with self._sock, self.plain:
            self._sock.setblocking(False)
            self.plain.setblocking(False)
            with contextlib.suppress(OSError):  # a side is gone: closing both is all that is left
                self._decrypt()  # what came with the handshake's end
                while not (self._engine_ended and not self._to_plain):
                    self._step()

    def _step(self) -> None:
        sock, plain = self._sock.fileno(), self.plain.fileno()
        poll = select.poll()
        if not self._engine_ended:
            poll.register(sock, self._events(self._engine_ended, self._to_plain, self._to_engine))
        poll.register(plain, self._events(self._plain_ended, self._to_engine, self._to_plain))
        for fd, event in poll.poll():
            if fd == sock and event & (select.POLLIN | HANG_UP):
                self._read_engine()
            elif fd == plain and event & HANG_UP:
                raise BrokenPipeError("the user of the connection has closed it")
            elif fd == plain and event & select.POLLIN:
                self._read_plain()
        if not self._engine_ended:
            try:
                self._send(self._sock, self._to_engine)
            except ConnectionError:
                self._to_engine.clear()  # it takes no more; what it has sent is read to its end all the same
        else:
            self._to_engine.clear()
        self._send(self.plain, self._to_plain)

    @staticmethod
    def _events(ended: bool, full: bytearray, waiting: bytearray) -> int:  # noqa: FBT001 - private, all positional
        reading = 0 if ended or len(full) > ENOUGH else select.POLLIN
        return reading | (select.POLLOUT if waiting else 0)

    def _read_engine(self) -> None:
        with contextlib.suppress(BlockingIOError):
            try:
                data = self._sock.recv(PIECE)
            except ConnectionError:
                data = b""
            if data:
                self._incoming.write(data)
            else:
                self._incoming.write_eof()
            self._decrypt()

    def _decrypt(self) -> None:
        try:
            while data := self._tls.read(PIECE):
                self._to_plain += data
            self._engine_ended = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError:
            self._engine_ended = True  # an end without close_notify, as engines often make it
        self._to_engine += self._outgoing.read()

    def _read_plain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            data = self.plain.recv(PIECE)
            if data:
                with contextlib.suppress(ssl.SSLError):  # the session is over: nobody takes it
                    self._tls.write(data)
            else:
                self._plain_ended = True
                with contextlib.suppress(ssl.SSLError):  # it would like to wait for the engine's own
                    self._tls.unwrap()
            self._to_engine += self._outgoing.read()

    @staticmethod
    def _send(sock: socket.socket, waiting: bytearray) -> None:
        if waiting:
            with contextlib.suppress(BlockingIOError):
                del waiting[: sock.send(waiting)]
