"""Who we are to the API server: the value of the Authorization header, and client certificates of plug-ins.

`authorization` is asked for each request, so it answers from memory nearly always; what can expire is renewed
before it does, by one thread, while the others go on with what they have.
"""

from __future__ import annotations

import base64
import logging
import os
import threading
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from virtual_kubelet.errors import ApiUnavailable, ConfigError
from virtual_kubelet.kube.kubeconfig import KubeConfig
from virtual_kubelet.pure import times
from virtual_kubelet.runtime.clock import SYSTEM, Clock

__all__ = ["AuthProvider", "Certificate", "Credentials", "ExecPlugin", "Header", "TokenFile", "basic"]

logger = logging.getLogger(__name__)

FILE_PERIOD = 60.0  # seconds between two looks at a token file; the kubelet rewrites it about hourly
SKEW = 60.0  # seconds before its end at which a credential is renewed
HURRY = 10.0  # seconds at least between two renewals that the server's 401 asked for


class Certificate(NamedTuple):
    """A client certificate from a plug-in, both PEM."""

    certificate: bytes
    key: bytes


class Credentials(Protocol):
    """A source of credentials. Its methods come from any thread."""

    def authorization(self) -> str | None:
        """Return the value of the Authorization header, None for none; raise `ApiUnavailable` if it can't."""

    def certificate(self) -> Certificate | None:
        """Return the client certificate that a plug-in gave, if any."""

    def rejected(self) -> bool:
        """Take note of a 401; tell whether the next `authorization` may give something better."""


class Header:
    """A header that never changes: a token or password from a kubeconfig, or nothing."""

    def __init__(self, value: str | None = None) -> None:
        self._value = value

    def authorization(self) -> str | None:
        """Return the header."""
        return self._value

    def certificate(self) -> Certificate | None:
        """Return None: it has none."""
        return None

    def rejected(self) -> bool:
        """Return False: it stays as it is."""
        return False


def basic(username: str, password: str) -> Header:
    """Return HTTP basic authentication."""
    return Header("Basic " + base64.b64encode(f"{username}:{password}".encode()).decode("ascii"))


class _Renewing:
    """A header with an end. `_fetch` gets a new one; one thread does, the others keep the old one."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()  # guards the fields
        self._renewing = threading.Lock()  # held by the one thread that runs _fetch
        self._value: str | None = None
        self._certificate: Certificate | None = None
        self._renew_at = 0.0  # monotonic: try to renew from here on
        self._valid_until: float | None = 0.0  # monotonic: no use after it; None: no end known
        self._renewed_at = 0.0

    def authorization(self) -> str | None:
        """Return the header, renewed when it is time."""
        self._renew_if_due()
        with self._lock:
            return self._value

    def certificate(self) -> Certificate | None:
        """Return the plug-in's certificate, renewed when it is time."""
        self._renew_if_due()
        with self._lock:
            return self._certificate

    def rejected(self) -> bool:
        """Renew at the next call, unless that was done a moment ago."""
        with self._lock:
            now = self._clock.monotonic()
            if now - self._renewed_at < HURRY:
                return False
            self._renew_at = now
            return True

    def _renew_if_due(self) -> None:
        with self._lock:
            now = self._clock.monotonic()
            if now < self._renew_at:
                return
            usable = self._valid_until is None or now < self._valid_until
        # What is still good is used while another thread renews it; what is not has to be waited for.
        if not self._renewing.acquire(blocking=not usable):
            return
        try:
            with self._lock:
                if self._clock.monotonic() < self._renew_at:
                    return  # done while we waited
            self._renew(usable=usable)
        finally:
            self._renewing.release()

    def _renew(self, *, usable: bool) -> None:
        try:
            value, certificate, lifetime = self._fetch()
        except ConfigError as error:
            if not usable:
                raise ApiUnavailable(f"no credentials for the API server: {error}") from error
            logger.warning("credentials could not be renewed, the old ones are used: %s", error)
            with self._lock:
                self._renew_at = self._clock.monotonic() + HURRY
            return
        with self._lock:
            now = self._clock.monotonic()
            self._value, self._certificate = value, certificate
            self._renewed_at = now
            self._valid_until = None if lifetime is None else now + lifetime
            self._renew_at = now + self._period(lifetime)

    def _period(self, lifetime: float | None) -> float:
        if lifetime is None:
            return float("inf")
        return max(lifetime - min(SKEW, lifetime / 5), 1.0)

    def _fetch(self) -> tuple[str | None, Certificate | None, float | None]:
        """Return header, certificate, and the seconds that they are good for; raise `ConfigError`."""
        raise NotImplementedError


class TokenFile(_Renewing):
    """A bearer token in a file that somebody renews: in a pod, the kubelet."""

    def __init__(self, path: str, clock: Clock = SYSTEM) -> None:
        super().__init__(clock)
        self._path = path

    def _fetch(self) -> tuple[str | None, Certificate | None, float | None]:
        try:
            token = Path(self._path).read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"token file {self._path} cannot be read: {error}") from error
        if not token:
            raise ConfigError(f"token file {self._path} is empty")
        return f"Bearer {token}", None, None

    def _period(self, lifetime: float | None) -> float:
        del lifetime
        return FILE_PERIOD


class ExecPlugin(_Renewing):
    """A credential plug-in (`client.authentication.k8s.io`), run by the `kubernetes` package."""

    def __init__(self, config: KubeConfig, clock: Clock = SYSTEM) -> None:
        super().__init__(clock)
        self._config = config
        self._command = str(config.user.values["exec"].get("command", ""))

    def _fetch(self) -> tuple[str | None, Certificate | None, float | None]:
        status = self._run()
        token = status.get("token")
        data, key = status.get("clientCertificateData"), status.get("clientKeyData")
        if not token and not (data and key):
            raise self._error("gave neither a token nor a certificate with its key")
        certificate = Certificate(str(data).encode(), str(key).encode()) if data and key else None
        lifetime = None
        if status.get("expirationTimestamp"):
            try:
                ends = times.parse(str(status["expirationTimestamp"]))
            except ValueError as error:
                raise self._error(f"expirationTimestamp: {error}") from error
            lifetime = ends - self._clock.now()
        return f"Bearer {token}" if token else None, certificate, lifetime

    def _run(self) -> dict[str, Any]:
        from kubernetes.config.config_exception import ConfigException
        from kubernetes.config.exec_provider import ExecProvider
        from kubernetes.config.kube_config import ConfigNode

        user, cluster = self._config.user, self._config.cluster
        try:
            plugin = ExecProvider(
                ConfigNode("exec", dict(user.values["exec"])),
                str(user.file.parent),
                ConfigNode("cluster", dict(cluster.values)),
            )
            status = plugin.run()
        except FileNotFoundError as error:
            raise self._error("is not installed, or not on the PATH of this process") from error
        except (ConfigException, OSError, KeyError, TypeError) as error:
            raise self._error(f"failed: {' '.join(str(error).split())}") from error
        if not isinstance(status, dict):
            raise self._error("answered without a status")
        return status

    def _error(self, problem: str) -> ConfigError:
        return self._config.user.error(f'plug-in "{self._command}" {problem}')


class AuthProvider(_Renewing):
    """The older `auth-provider` entries (oidc, gcp), which the `kubernetes` package knows how to renew."""

    def __init__(self, config: KubeConfig, clock: Clock = SYSTEM) -> None:
        super().__init__(clock)
        self._config = config

    def _fetch(self) -> tuple[str | None, Certificate | None, float | None]:
        from kubernetes.client import Configuration
        from kubernetes.config import load_kube_config
        from kubernetes.config.config_exception import ConfigException

        user = self._config.user
        configuration = Configuration()
        try:
            # Loaded anew each time: the package renews what is about to expire, and does so here only.
            load_kube_config(
                config_file=self._config.files,
                context=self._config.context,
                client_configuration=configuration,
                # Some issuers let a refresh token be used once only: the new one has to be kept.
                persist_config=os.access(user.file, os.W_OK),
            )
            # 35 and 36 file the token under "authorization", 37 under "BearerToken".
            header = configuration.get_api_key_with_prefix("authorization")
            header = header or configuration.get_api_key_with_prefix("BearerToken")
        except (ConfigException, ImportError, OSError, ValueError, KeyError, TypeError) as error:
            raise user.error(f"auth-provider failed: {' '.join(str(error).split())}") from error
        if not header:
            raise user.error("auth-provider gave no token; use a credential plug-in (exec) instead")
        return str(header), None, None

    def _period(self, lifetime: float | None) -> float:
        del lifetime
        return FILE_PERIOD
