"""The settings of the docker provider, from the TOML file of --provider-config and the engine's own variables.

host = "unix:///run/docker.sock"     # default: DOCKER_HOST, else the first socket that is there
tls-ca, tls-cert, tls-key = "..."    # PEM files; default: DOCKER_CERT_PATH with DOCKER_TLS_VERIFY
tls-verify = true
api-version = "1.41"                 # default: negotiated
local = true                         # the engine sees this machine's files; default: with a unix socket
infra-image = "registry.k8s.io/pause:3.10"
infra-command = []                   # default: the image's own
network = "bridge"                   # the engine's network for pods
dns = []                             # name servers of ClusterFirst pods; default: the cluster's
state = "/var/lib/virtual-kubelet/vm-1"   # beats --state-dir
log-driver = "json-file"             # "" for the engine's default
log-max-size = "10Mi"
log-max-files = 5
registry-config = "/root/.docker/config.json"   # credentials of the node's own
seccomp-profiles = "/var/lib/kubelet/seccomp"
allowed-unsafe-sysctls = []
cpu, memory, pods, ephemeral-storage = "..."    # default: the engine's machine
[others]                             # extended resources
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from virtual_kubelet.errors import ConfigError
from virtual_kubelet.objects import JsonObject
from virtual_kubelet.podruntime.places import default_state
from virtual_kubelet.provider import ProviderConfig
from virtual_kubelet.providers.engine import toml
from virtual_kubelet.providers.engine.endpoint import (
    DOCKER_SOCKETS,
    PODMAN_SOCKETS,
    Endpoint,
    TlsFiles,
    discover,
    parse,
)
from virtual_kubelet.providers.engine.options import PAUSE_IMAGE, EngineOptions, profile_reader
from virtual_kubelet.providers.engine.toml import QUANTITIES, Table

__all__ = ["DockerConfig", "load"]

logger = logging.getLogger(__name__)

KNOWN = frozenset(
    {
        *QUANTITIES, "others", "host", "tls-ca", "tls-cert", "tls-key", "tls-verify", "api-version", "local",
        "infra-image", "infra-command", "network", "dns", "state", "log-driver", "log-max-size", "log-max-files",
        "registry-config", "seccomp-profiles", "allowed-unsafe-sysctls",
    }
)  # fmt: skip
SOCKETS = {"docker": (*DOCKER_SOCKETS, *PODMAN_SOCKETS), "podman": (*PODMAN_SOCKETS, *DOCKER_SOCKETS)}
HOSTS = {"docker": ("DOCKER_HOST",), "podman": ("CONTAINER_HOST", "DOCKER_HOST")}


@dataclass(frozen=True)
class DockerConfig:
    """Settings; see the module."""

    endpoint: Endpoint
    api_version: str
    state: Path
    options: EngineOptions


def load(config: ProviderConfig, name: str = "docker") -> DockerConfig:
    """Return the settings of the provider `name` (docker or podman); raise `ConfigError`."""
    table = toml.read(config.config_path, KNOWN)
    endpoint = _endpoint(table, config.environ, name)
    state = table.text("state") or config.state_dir or default_state(config.environ, config.node_name)
    options = EngineOptions(
        name=name,
        local=table.flag("local", bool(endpoint.path)),
        infra_image=table.text("infra-image", PAUSE_IMAGE),
        infra_command=table.texts("infra-command"),
        network=table.text("network"),
        dns_servers=table.texts("dns"),
        resources=table.resources(),
        log_config=_log_config(table),
        unsafe_sysctls=table.texts("allowed-unsafe-sysctls"),
        registries=_registries(table.text("registry-config")),
        read_profile=profile_reader(table.text("seccomp-profiles")),
    )
    return DockerConfig(endpoint, table.text("api-version"), Path(state).absolute(), options)


def _endpoint(table: Table, environ: Mapping[str, str], name: str) -> Endpoint:
    host = table.text("host") or next((environ[key] for key in HOSTS[name] if environ.get(key)), "")
    if not host:
        return discover(environ, SOCKETS[name])
    return parse(host, _tls(table, environ))


def _tls(table: Table, environ: Mapping[str, str]) -> TlsFiles | None:
    """Return the files for TLS, None where nothing asks for it."""
    files = {key: table.text(f"tls-{key}") for key in ("ca", "cert", "key")}
    verify = table.flag("tls-verify", True)
    if not any(files.values()):
        if not environ.get("DOCKER_TLS_VERIFY") and not (environ.get("DOCKER_TLS") or "tls-verify" in table):
            return None
        verify = verify and bool(environ.get("DOCKER_TLS_VERIFY") or "tls-verify" in table)
        directory = Path(environ.get("DOCKER_CERT_PATH") or Path(environ.get("HOME") or "/") / ".docker")
        files = {key: str(directory / f"{key}.pem") for key in files if (directory / f"{key}.pem").exists()}
    tls = TlsFiles(verify=verify, **files)
    tls.context()  # complains now of what cannot be used
    return tls


def _log_config(table: Table) -> JsonObject:
    driver = table.text("log-driver", "json-file")
    if not driver:
        return {}
    if driver not in {"json-file", "local", "k8s-file"}:
        logger.warning("log-driver %s: kubectl logs works only if the engine can read such logs back", driver)
        return {"Type": driver}
    size = table.bytes("log-max-size", "10Mi")
    files = table.number("log-max-files", 5, least=1)
    return {"Type": driver, "Config": {"max-size": str(size), "max-file": str(files)}}


def _registries(path: str) -> tuple[JsonObject, ...]:
    if not path:
        return ()
    try:
        values = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"registry-config {path} cannot be read: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(f'registry-config {path} is not an object with "auths", as docker login writes it')
    return (values,)
