"""HTTP over a unix socket for `requests`."""

from __future__ import annotations

from typing import Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool

from virtual_kubelet.providers.engine.endpoint import Endpoint

__all__ = ["UnixAdapter"]

CONNECT_TIMEOUT = 5.0


class _UnixConnection(HTTPConnection):
    """A connection to the socket of an endpoint."""

    def __init__(self, endpoint: Endpoint, timeout: float | None) -> None:
        super().__init__("engine", timeout=timeout)
        self._endpoint = endpoint

    def connect(self) -> None:
        """Connect."""
        self.sock = self._endpoint.connect(CONNECT_TIMEOUT)


class _UnixPool(HTTPConnectionPool):
    """Connections to the one socket."""

    def __init__(self, endpoint: Endpoint, size: int) -> None:
        super().__init__("engine", maxsize=size)
        self._endpoint = endpoint

    def _new_conn(self) -> Any:
        return _UnixConnection(self._endpoint, None)


class UnixAdapter(HTTPAdapter):
    """Sends every request to one unix socket."""

    def __init__(self, endpoint: Endpoint, *, pool_maxsize: int) -> None:
        self._endpoint, self._size = endpoint, pool_maxsize
        self._pool = _UnixPool(endpoint, pool_maxsize)
        super().__init__(pool_maxsize=pool_maxsize)

    def get_connection_with_tls_context(self, request: Any, verify: Any, proxies: Any = None, cert: Any = None) -> Any:  # fmt: skip
        """Return the pool."""
        return self._pool

    def get_connection(self, url: Any, proxies: Any = None) -> Any:
        """Return the pool: for `requests` before 2.32."""
        return self._pool

    def request_url(self, request: Any, proxies: Any) -> str:
        """Return path and query."""
        return str(request.path_url)

    def close(self) -> None:
        """Close what is idle; like any other adapter it can be used again."""
        pool, self._pool = self._pool, _UnixPool(self._endpoint, self._size)
        pool.close()
        super().close()
