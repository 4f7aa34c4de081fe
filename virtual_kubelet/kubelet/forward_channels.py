"""A port-forward session over WebSocket channels, for clients that know no better: one connection a port."""

from __future__ import annotations

from functools import partial

from virtual_kubelet.kubelet.forwards import Forwards, Target
from virtual_kubelet.kubelet.upgrades import Streaming
from virtual_kubelet.runtime.threads import Deadline, join_all, spawn
from virtual_kubelet.web.transport import Transport
from virtual_kubelet.web.websocket_connection import Channel, WebSocketConnection
from virtual_kubelet.wire.channels import CHANNEL_PROTOCOLS
from virtual_kubelet.wire.portforward import preamble

__all__ = ["ForwardChannels"]

READER_END = 10.0  # seconds for the reader to end once its connection is closed


class _DataChannel(Channel):
    """A port's data. The client cannot end its side of it, so the end of ours is the end of both."""

    def close_write(self) -> None:
        self.discard()


class ForwardChannels:
    """One client's connection. `run` returns when every port's connection has ended, or the client has gone."""

    def __init__(
        self, transport: Transport, protocol: str, ports: list[int], target: Target, streaming: Streaming
    ) -> None:
        self._ports = ports
        self._streaming = streaming
        self._forwards = Forwards(target, len(ports))
        self._target = target
        self._connection = WebSocketConnection(
            transport,
            CHANNEL_PROTOCOLS[protocol],
            readable=range(0, 2 * len(ports), 2),
            buffer=streaming.buffer,
            idle_timeout=streaming.idle_timeout,
        )

    def run(self) -> None:
        """Serve the client."""
        reader = spawn(self._connection.run, name=f"port-forward {self._target.pod} reader")
        try:
            for index, port in enumerate(self._ports):
                self._start(index, port)
            self._forwards.wait()
            self._connection.say_goodbye()
            self._connection.duplex.wait_ended(self._streaming.quiet)
        except BrokenPipeError:
            pass  # the client has gone
        finally:
            self._connection.close()
            join_all([reader], Deadline(READER_END))
            self._forwards.join()

    def _start(self, index: int, port: int) -> None:
        data = self._connection.channel(2 * index, _DataChannel)
        error = self._connection.channel(2 * index + 1)
        data.write(preamble(port))
        error.write(preamble(port))
        self._forwards.start(port, data, partial(_finish, error))


def _finish(error: Channel, text: bytes) -> None:
    if text:
        try:
            error.write(text)
        except BrokenPipeError:
            pass  # nobody listens
