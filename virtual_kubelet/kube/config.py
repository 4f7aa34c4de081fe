"""Where the API server is, how to know it, and who we are to it.

`load` reads a kubeconfig, or what the kubelet mounts into every pod; the result is asked for credentials for
each request, so that what is renewed on disk or by a plug-in is used without a restart.
"""

from __future__ import annotations

import logging
import os
import ssl
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from virtual_kubelet.errors import ApiUnavailable, ConfigError
from virtual_kubelet.kube import kubeconfig as files
from virtual_kubelet.kube.credentials import (
    AuthProvider,
    Credentials,
    ExecPlugin,
    Header,
    TokenFile,
    basic,
)

__all__ = ["ApiAccess", "TlsSettings", "load"]

logger = logging.getLogger(__name__)

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
IMPERSONATION = ("as", "as-uid", "as-groups", "as-user-extra")


@dataclass(frozen=True)
class TlsSettings:
    """How to check the server's certificate and which one to show; data is PEM and beats the file."""

    ca_file: str = ""
    ca_data: bytes = b""
    cert_file: str = ""
    cert_data: bytes = b""
    key_file: str = ""
    key_data: bytes = b""
    server_name: str = ""  # instead of the host's, in the handshake and in the certificate
    insecure: bool = False


@dataclass(frozen=True)
class ApiAccess:
    """An API server and our way to it."""

    server: str  # https://host:port, perhaps with a path in front of the API's own
    tls: TlsSettings = field(default_factory=TlsSettings)
    credentials: Credentials = field(default_factory=Header)
    proxy: str = ""  # http://host:port
    origin: str = "settings"  # for messages: which file or place this came from

    def authorization(self) -> str | None:
        """Return the Authorization header for one request; raise `ApiUnavailable` if it cannot be had."""
        return self.credentials.authorization()

    def ssl_context(self) -> ssl.SSLContext:
        """Return a new client context from the files and data as they are now.

        Raises `ConfigError` when they are no certificates or do not belong together.
        """
        context = self._trust()
        certificate = self.credentials.certificate()
        tls = self.tls
        if certificate is not None:
            self._show(context, certificate.certificate, certificate.key)
        elif tls.cert_data or tls.cert_file:
            self._show(
                context,
                tls.cert_data or self._read(tls.cert_file),
                tls.key_data or self._read(tls.key_file),
            )
        return context

    def fingerprint(self) -> tuple[object, ...]:
        """Return a value that changes when `ssl_context` would give something new."""
        named = (self.tls.ca_file, self.tls.cert_file, self.tls.key_file)
        return (self.credentials.certificate(), *(_stamp(path) for path in named))

    def _trust(self) -> ssl.SSLContext:
        tls = self.tls
        try:
            context = ssl.create_default_context(
                cafile=tls.ca_file if tls.ca_file and not tls.ca_data else None,
                cadata=tls.ca_data.decode("ascii") if tls.ca_data else None,
            )
        except (OSError, ValueError) as error:
            source = "certificate-authority-data" if tls.ca_data else f"certificate authority {tls.ca_file}"
            raise ConfigError(f"{self.origin}: {source} holds no usable PEM certificate") from error
        # As Go verifies, which made these certificates: what the user names is trusted, be it an intermediate,
        # and older CAs without key identifiers are in use (Python 3.13 would refuse them).
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if tls.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    def _show(self, context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
        # OpenSSL takes a key from a file only: one of our own, for this moment, in a directory that nobody
        # else may enter.
        with tempfile.TemporaryDirectory(prefix="virtual-kubelet-") as directory:
            cert_path, key_path = Path(directory, "cert"), Path(directory, "key")
            cert_path.write_bytes(certificate)
            key_path.write_bytes(key)
            try:
                context.load_cert_chain(cert_path, key_path, password=_no_password)
            except (OSError, ValueError) as error:
                raise ConfigError(
                    f"{self.origin}: the client certificate and its key are not usable PEM, or do not match"
                ) from error

    def _read(self, path: str) -> bytes:
        try:
            return Path(path).read_bytes()
        except OSError as error:
            raise ConfigError(f"{self.origin}: {path} cannot be read: {error.strerror}") from error


def _no_password() -> str:
    # Without this OpenSSL would ask the terminal for the password of an encrypted key.
    raise ValueError("the key is encrypted")


def _stamp(path: str) -> tuple[int, int] | None:
    try:
        status = Path(path).stat() if path else None
    except OSError:
        return None
    return (status.st_mtime_ns, status.st_size) if status else None


def load(kubeconfig: str, *, environ: Mapping[str, str] = os.environ) -> ApiAccess:
    """Return the access that `kubeconfig` describes; "" means the pod that this process runs in.

    Several files with `os.pathsep` between are merged as kubectl does. Raises `ConfigError`: one line that
    names what is wrong, where, and the remedy. Nothing is asked of the server; a credential plug-in is run.
    """
    access = _from_file(kubeconfig, environ) if kubeconfig else _in_cluster(environ)
    try:
        access.authorization()
    except ApiUnavailable as error:
        raise ConfigError(str(error)) from error
    if access.server.startswith("https:"):
        access.ssl_context()
    return access


def _in_cluster(environ: Mapping[str, str]) -> ApiAccess:
    host, port = environ.get("KUBERNETES_SERVICE_HOST", ""), environ.get("KUBERNETES_SERVICE_PORT", "")
    if not host or not port:
        raise ConfigError(
            "no kubeconfig was given, and this is no pod of a cluster (KUBERNETES_SERVICE_HOST and _PORT are"
            " not set); name a kubeconfig with --kubeconfig or KUBECONFIG"
        )
    token, ca = SERVICE_ACCOUNT / "token", SERVICE_ACCOUNT / "ca.crt"
    for path in (token, ca):
        if not path.is_file():
            raise ConfigError(
                f"in-cluster configuration: {path} is not there; let the pod mount its service account token"
                " (automountServiceAccountToken), or name a kubeconfig with --kubeconfig"
            )
    server = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    return ApiAccess(
        server=server,
        tls=TlsSettings(ca_file=str(ca)),
        credentials=TokenFile(str(token)),
        proxy=_proxy(server, environ),
        origin="in-cluster configuration",
    )


def _from_file(kubeconfig: str, environ: Mapping[str, str]) -> ApiAccess:
    config = files.read(kubeconfig)
    cluster = config.cluster
    server = cluster.text("server").rstrip("/")
    parts = urlsplit(server)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise cluster.error(f'server "{server}" is not a URL such as https://host:6443')
    proxy = cluster.text("proxy-url") or _proxy(server, environ)
    if proxy and urlsplit(proxy).scheme not in {"http", "https"}:
        raise cluster.error("proxy-url: only http:// and https:// proxies are supported")
    return ApiAccess(
        server=server,
        tls=_tls(config) if parts.scheme == "https" else TlsSettings(),
        credentials=_credentials(config),
        proxy=proxy,
        origin=f"kubeconfig {kubeconfig}",
    )


def _tls(config: files.KubeConfig) -> TlsSettings:
    cluster, user = config.cluster, config.user
    insecure = cluster.flag("insecure-skip-tls-verify")
    if insecure:
        logger.warning("%s: the API server's certificate is not checked", config.files)
    cert_data, key_data = user.data("client-certificate-data"), user.data("client-key-data")
    settings = TlsSettings(
        ca_data=cluster.data("certificate-authority-data"),
        ca_file=_file_unless(cluster, "certificate-authority"),
        cert_data=cert_data,
        cert_file=_file_unless(user, "client-certificate"),
        key_data=key_data,
        key_file=_file_unless(user, "client-key"),
        server_name=cluster.text("tls-server-name"),
        insecure=insecure,
    )
    if bool(settings.cert_data or settings.cert_file) != bool(settings.key_data or settings.key_file):
        raise user.error("client-certificate and client-key need each other; one of them is missing")
    return settings


def _file_unless(entry: files.Entry, key: str) -> str:
    """Return the file of `key` unless its -data form is there, which kubectl prefers."""
    return "" if entry.text(f"{key}-data") else entry.path(key)


def _credentials(config: files.KubeConfig) -> Credentials:
    user = config.user
    for key in IMPERSONATION:
        if user.values.get(key):
            raise user.error(f'"{key}" (impersonation) is not supported; use an identity of the node\'s own')
    for key in ("exec", "auth-provider"):
        if user.values.get(key) and not isinstance(user.values[key], dict):
            raise user.error(f"{key} has to be a mapping")
    if user.values.get("auth-provider"):
        return AuthProvider(config)
    if user.text("tokenFile"):
        return TokenFile(user.path("tokenFile"))
    if user.text("token"):
        return Header(f"Bearer {user.text('token').strip()}")
    if user.values.get("exec"):
        return ExecPlugin(config)
    if user.text("username"):
        return basic(user.text("username"), user.text("password"))
    return Header()


def _proxy(server: str, environ: Mapping[str, str]) -> str:
    """Return the proxy that the environment names for `server`, as curl and client-go read it."""
    parts = urlsplit(server)
    name = f"{parts.scheme}_proxy"
    proxy = environ.get(name) or environ.get(name.upper()) or ""
    if not proxy:
        return ""
    from requests.utils import should_bypass_proxies  # knows address ranges in NO_PROXY, as clusters use them

    no_proxy = environ.get("no_proxy") or environ.get("NO_PROXY")
    if should_bypass_proxies(server, no_proxy=no_proxy):
        return ""
    return proxy if "://" in proxy else f"http://{proxy}"
