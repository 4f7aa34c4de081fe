"""Where an engine listens, and how to get a connected socket to it."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from virtual_kubelet.errors import ConfigError
from virtual_kubelet.providers.engine import tls_pipe

__all__ = ["DOCKER_SOCKETS", "PODMAN_SOCKETS", "Endpoint", "TlsFiles", "discover", "parse"]

HTTP_PORT, TLS_PORT = 2375, 2376
DOCKER_SOCKETS = ("/run/docker.sock", "/var/run/docker.sock", "{runtime}/docker.sock")
PODMAN_SOCKETS = ("/run/podman/podman.sock", "{runtime}/podman/podman.sock")


@dataclass(frozen=True)
class TlsFiles:
    """PEM files; "" for the system's roots, and for no client certificate."""

    ca: str = ""
    cert: str = ""
    key: str = ""
    verify: bool = True

    @property
    def roots(self) -> str | bool:
        """What `requests` verifies with: the CA, the system's roots as `context` has them, or its own."""
        paths = ssl.get_default_verify_paths()
        return (self.ca or paths.cafile or paths.capath or True) if self.verify else False

    def context(self) -> ssl.SSLContext:
        """Return a context made of the files as they are now; raise `ConfigError`."""
        try:
            context = ssl.create_default_context(cafile=self.ca or None)
            if not self.verify:
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            if self.cert:
                context.load_cert_chain(self.cert, self.key or None)
        except (OSError, ssl.SSLError) as error:
            names = ", ".join(name for name in (self.ca, self.cert, self.key) if name)
            raise ConfigError(f"the TLS files of the engine ({names}) cannot be used: {error}") from error
        return context


@dataclass(frozen=True)
class Endpoint:
    """An engine: a unix socket's path, or a host and port with or without TLS."""

    path: str = ""
    host: str = ""
    port: int = 0
    tls: TlsFiles | None = None

    def __str__(self) -> str:
        """Return it as DOCKER_HOST has it."""
        return f"unix://{self.path}" if self.path else f"tcp://{self.host}:{self.port}"

    @property
    def base_url(self) -> str:
        """The URL that requests go to; for a unix socket one that only `adapter` understands."""
        if self.path:
            return "http+unix://engine"
        name = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls else 'http'}://{name}:{self.port}"

    def connect(self, timeout: float) -> socket.socket:
        """Return a connected socket of plain bytes, TLS or not behind it; raise `OSError`."""
        if self.path:
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            sock.settimeout(timeout)
            try:
                sock.connect(self.path)
            except BaseException:
                sock.close()
                raise
            return sock
        context = self.tls.context() if self.tls is not None else None
        sock = socket.create_connection((self.host, self.port), timeout)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock if context is None else tls_pipe.open_tls(sock, context, self.host)


def parse(text: str, tls: TlsFiles | None = None) -> Endpoint:
    """Return the endpoint of `unix:///path`, `tcp://host[:port]`, `http://...`, `https://...`.

    `tls` makes TLS of tcp; https has it anyway. Raises `ConfigError`.
    """
    parts = urlsplit(text)
    if parts.scheme == "unix" and parts.path and not parts.netloc:
        return Endpoint(path=parts.path)
    if parts.scheme not in {"tcp", "http", "https"} or not parts.hostname:
        raise ConfigError(
            f'"{text}" is not the address of an engine; use unix:///path/to.sock or tcp://host:port'
            " (for ssh, forward the socket with ssh -L and name that)"
        )
    try:
        port = parts.port
    except ValueError as error:
        raise ConfigError(f'"{text}": {error}') from error
    if parts.scheme == "https":
        tls = tls or TlsFiles()
    elif parts.scheme == "http":
        tls = None
    return Endpoint(host=parts.hostname, port=port or (TLS_PORT if tls else HTTP_PORT), tls=tls)


def discover(environ: Mapping[str, str], patterns: tuple[str, ...]) -> Endpoint:
    """Return the first socket that is there; raise `ConfigError` with all that were looked for."""
    runtime = environ.get("XDG_RUNTIME_DIR", "")
    paths = [item.format(runtime=runtime) for item in patterns if runtime or "{runtime}" not in item]
    for path in paths:
        if Path(path).is_socket():
            return Endpoint(path=path)
    raise ConfigError(
        f"no container engine found: none of {', '.join(paths)} is a socket; start one, or name it by DOCKER_HOST"
        ' or "host" in --provider-config'
    )
