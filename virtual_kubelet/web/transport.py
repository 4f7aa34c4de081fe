"""A connected socket that one thread may read while another writes and a third closes it, TLS or not.

An `ssl.SSLSocket` does not allow that by itself: OpenSSL's connection state is not safe for two threads. So
the socket is non-blocking, waiting happens outside in poll(2), and a lock surrounds each call into OpenSSL.
A plain socket needs no such lock, the kernel has its own.

The descriptor is closed only when nobody uses it any more: `close` shuts the socket down, which wakes every
waiter with an end of file, and the last user to leave closes it. Otherwise a thread still in poll(2) could
end up with the descriptor of a connection that was accepted meanwhile.
"""

from __future__ import annotations

import select
import socket
import ssl
import threading
import time

__all__ = ["Transport"]

PIECE = 65536  # bytes handed to OpenSSL at once: bounds how long a writer keeps the reader out
READ, WRITE = select.POLLIN, select.POLLOUT
HANG_UP = getattr(select, "POLLRDHUP", 0)  # the peer's end; a reset is reported unasked


class Transport:
    """One connection's bytes.

    At most one thread reads and one writes at a time (further ones wait for their turn); `close` may be
    called by any, more than once.
    """

    def __init__(self, sock: socket.socket, *, received: bytes = b"") -> None:
        """Own `sock` from now on; `received` are bytes that were read from it already."""
        sock.setblocking(False)
        self._sock = sock
        self._tls = sock if isinstance(sock, ssl.SSLSocket) else None
        self._received = received  # under _reading
        self._reading = threading.Lock()
        self._writing = threading.Lock()
        self._calls = threading.Lock()  # round each call into OpenSSL
        # Under _calls: the TLS session is over. From then on an SSLSocket would read and write *plain* bytes.
        self._over = False
        self._state = threading.Lock()
        self._users = 0  # under _state
        self._closed = False  # under _state

    # ------------------------------------------------------------------------------------------------------
    # Reading and writing

    def recv(self, size: int = PIECE, timeout: float | None = None) -> bytes:
        """Wait for bytes and return at most `size`; b"" when the peer has ended or either side has closed.

        Raises `TimeoutError` after `timeout` seconds (None: never).
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._reading:
            if not self.hold():
                return b""
            try:
                while True:
                    data, need = self._try_recv(size)
                    if data is not None:
                        return data
                    self._wait(need, deadline)
            finally:
                self.release()

    def recv_nowait(self, size: int = PIECE) -> bytes | None:
        """Return what is there, b"" at the end, None when there is nothing yet."""
        with self._reading:
            if not self.hold():
                return b""
            try:
                return self._try_recv(size)[0]
            finally:
                self.release()

    def read_ahead(self, limit: int = PIECE) -> bool:
        """Read what is there for a later `recv`, up to `limit` bytes in all; tell whether the peer is there.

        For noticing that a client goes away while nobody waits for its bytes. Gives up, with True, while
        another thread reads: that one will notice.
        """
        if not self._reading.acquire(blocking=False):
            return True
        try:
            if not self.hold():
                return False
            try:
                if len(self._received) >= limit:
                    return True
                # Past the read-ahead buffer, which _try_recv would give back first.
                ahead, self._received = self._received, b""
                data, _ = self._try_recv(limit - len(ahead))
                self._received = ahead + (data or b"")
                return data != b""
            finally:
                self.release()
        finally:
            self._reading.release()

    @property
    def ahead(self) -> int:
        """The number of bytes that are read already and wait for `recv`."""
        return len(self._received)

    def push_back(self, data: bytes) -> None:
        """Let the next `recv` return `data` first."""
        with self._reading:
            self._received = data + self._received

    def send(self, data: bytes | bytearray | memoryview, timeout: float | None = None) -> None:
        """Send all of `data`; waits while the peer is slow.

        Raises `BrokenPipeError` when either side has closed, `TimeoutError` when not one byte could be sent
        for `timeout` seconds (None: never).
        """
        view = memoryview(data)
        with self._writing:
            if not self.hold():
                raise BrokenPipeError("the connection is closed")
            try:
                while view:
                    deadline = None if timeout is None else time.monotonic() + timeout
                    view = view[self._send_some(view[:PIECE], deadline) :]
            finally:
                self.release()

    def _send_some(self, piece: memoryview, deadline: float | None) -> int:
        # OpenSSL wants an interrupted write to be tried again with the very same bytes: so `piece` stays.
        while True:
            sent, need = self._try_send(piece)
            if sent is not None:
                return sent
            self._wait(need, deadline)
            if self._closed:
                raise BrokenPipeError("the connection is closed")

    def _try_recv(self, size: int) -> tuple[bytes | None, int]:
        if self._received:
            data, self._received = self._received[:size], self._received[size:]
            return data, 0
        try:
            if self._tls is None:
                return self._sock.recv(size), 0
            with self._calls:
                return (b"" if self._over else self._tls.recv(size)), 0
        except (BlockingIOError, ssl.SSLWantReadError):
            return (b"", 0) if self._closed else (None, READ)
        except ssl.SSLWantWriteError:
            return None, WRITE
        except OSError:
            # A reset, or a broken TLS record: for a reader the connection has ended.
            return b"", 0

    def _try_send(self, piece: memoryview) -> tuple[int | None, int]:
        try:
            if self._tls is None:
                return self._sock.send(piece), 0
            with self._calls:
                if self._over:
                    raise BrokenPipeError("the TLS session is over")
                return self._tls.send(piece), 0
        except (BlockingIOError, ssl.SSLWantWriteError):
            return None, WRITE
        except ssl.SSLWantReadError:
            return None, READ
        except OSError as error:
            raise BrokenPipeError(f"the connection is closed: {error}") from error

    # ------------------------------------------------------------------------------------------------------
    # TLS

    def handshake(self) -> int:
        """Go on with the TLS handshake; return 0 when it is done, else the poll event that it waits for.

        Raises `OSError` (which `ssl.SSLError` is) when it failed.
        """
        if self._tls is None:
            return 0
        if not self.hold():
            raise BrokenPipeError("the connection is closed")
        try:
            with self._calls:
                if self._over:
                    raise BrokenPipeError("the TLS session is over")
                self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return READ
        except ssl.SSLWantWriteError:
            return WRITE
        finally:
            self.release()
        return 0

    def send_below_tls(self, data: bytes) -> None:
        """Send a few bytes as they are, to a peer whose first ones were no TLS."""
        if self.hold():
            try:
                socket.socket.send(self._sock, data)
            except OSError:
                pass  # it gets no explanation, then
            finally:
                self.release()

    def peer_certificate(self) -> bytes | None:
        """Return the certificate that the client has shown, DER, once the handshake is done."""
        if self._tls is None:
            return None
        with self._calls:
            return None if self._over else self._tls.getpeercert(binary_form=True)

    @property
    def secure(self) -> bool:
        """Whether this is TLS."""
        return self._tls is not None

    # ------------------------------------------------------------------------------------------------------
    # Waiting

    def fileno(self) -> int:
        """Return the descriptor, for a selector; only while it is held."""
        return self._sock.fileno()

    def wait_readable(self, timeout: float) -> bool:
        """Tell whether bytes, or the end, arrive within `timeout` seconds."""
        if not self.hold():
            return True
        try:
            return bool(self._received) or self._decrypted() or self._poll(READ, timeout)
        finally:
            self.release()

    def _decrypted(self) -> bool:
        """Tell whether OpenSSL holds bytes that poll(2) cannot see."""
        if self._tls is None:
            return False
        with self._calls:
            return self._tls.pending() > 0

    def _wait(self, event: int, deadline: float | None) -> None:
        rest = None if deadline is None else deadline - time.monotonic()
        if (rest is not None and rest <= 0) or not self._poll(event, rest):
            raise TimeoutError("the peer is too slow")

    def _poll(self, event: int, timeout: float | None) -> bool:
        poll = select.poll()
        poll.register(self._sock, event)
        return bool(poll.poll(None if timeout is None else timeout * 1000))

    def hung_up(self) -> bool:
        """Tell whether the connection has ended, also while bytes that the peer sent before wait unread."""
        if not self.hold():
            return True
        try:
            return self._poll(HANG_UP, 0)
        finally:
            self.release()

    # ------------------------------------------------------------------------------------------------------
    # The end

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def finish(self) -> None:
        """Say that no more bytes will come (close_notify and FIN); all that is left to do is `discard`."""
        if not self.hold():
            return
        try:
            self._say_goodbye()
            _shutdown(self._sock, socket.SHUT_WR)
        finally:
            self.release()

    def discard(self, size: int = PIECE) -> bool:
        """Throw away what the peer still sends after `finish`; False when it has ended."""
        if not self.hold():
            return False
        try:
            # Below TLS, whose session is over.
            return bool(socket.socket.recv(self._sock, size))
        except BlockingIOError:
            return True
        except OSError:
            return False
        finally:
            self.release()

    def close(self) -> None:
        """End the connection; wakes whoever waits in `recv` (b"") or `send` (`BrokenPipeError`)."""
        with self._state:
            if self._closed:
                return
            self._closed = True
            self._users += 1
        self._say_goodbye()
        # Not the SSLSocket's own shutdown: it drops the TLS state under the feet of a reader.
        _shutdown(self._sock, socket.SHUT_RDWR)
        self.release()

    def _say_goodbye(self) -> None:
        """Send close_notify if that goes without waiting and no half-written record is in the way."""
        if self._tls is None or not self._writing.acquire(blocking=False):
            return
        try:
            with self._calls:
                self._over = True
                self._tls.unwrap()
        except (OSError, ValueError):
            pass  # the peer's own close_notify has not come yet, or it is gone: either is fine
        finally:
            self._writing.release()

    def hold(self) -> bool:
        """Keep the descriptor open until `release`; False when it is closed already."""
        with self._state:
            if self._closed:
                return False
            self._users += 1
            return True

    def release(self) -> None:
        """Give the descriptor back after `hold`; the last one to do so after `close` closes it."""
        with self._state:
            self._users -= 1
            last = self._closed and self._users == 0
        if last:
            self._sock.close()


def _shutdown(sock: socket.socket, how: int) -> None:
    try:
        socket.socket.shutdown(sock, how)
    except OSError:
        pass  # the peer was faster
