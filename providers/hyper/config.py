"""The settings of the hyper provider, of both generations that there were.

The first: a TOML file, and HYPERSH_ACCESS_KEY, HYPERSH_SECRET_KEY, HYPERSH_REGION that beat it.
The second: HYPER_HOST, HYPER_ACCESS_KEY with HYPER_SECRET_KEY, HYPER_DEFAULT_REGION, HYPER_INSTANCE_TYPE, and a
directory with the config.json of the service's command line (--provider-config, HYPER_CONFIG, ~/.hyper), whose keys
are used when the environment has none.

Keys of the TOML file, whose case does not matter:

Region = "us-west-1"         AccessKey, SecretKey = "..."     OperatingSystem = "Linux"
CPU = "20"   Memory = "100Gi"   Pods = "20"                   Host = "tcp://127.0.0.1:8080"
APIVersion = "1.23"          InstanceType = "s4"              VolumeDriver = "hyper" ("" for an engine's own)
TLSCA = "ca.pem"
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from virtual_kubelet.errors import ConfigError
from virtual_kubelet.objects import JsonObject
from virtual_kubelet.podruntime.places import default_state
from virtual_kubelet.provider import ProviderConfig
from virtual_kubelet.providers.engine import toml
from virtual_kubelet.providers.engine.endpoint import Endpoint, TlsFiles, parse
from virtual_kubelet.providers.hyper.instances import TYPES
from virtual_kubelet.providers.hyper.signing import Keys
from virtual_kubelet.pure import quantity

__all__ = ["HyperConfig", "load"]

REGIONS = ("us-west-1", "eu-central-1")
CLOUD = "tcp://*.hyper.sh:443"
SIZES = {"cpu": "20", "memory": "100Gi", "pods": "20"}
KEYS = (
    "region", "accesskey", "secretkey", "operatingsystem", "cpu", "memory", "pods", "host", "apiversion",
    "instancetype", "volumedriver", "tlsca", "state",
)  # fmt: skip


@dataclass(frozen=True)
class HyperConfig:
    """Settings; see the module."""

    endpoint: Endpoint
    keys: Keys
    api_version: str
    instance_type: str
    volume_driver: str
    resources: Mapping[str, str]
    registries: tuple[JsonObject, ...]
    state: Path


def load(config: ProviderConfig) -> HyperConfig:
    """Return the settings; raise `ConfigError`."""
    path = Path(config.config_path) if config.config_path else None
    values = _toml(path) if path is not None and not path.is_dir() else {}
    directory = path if path is not None and path.is_dir() else None
    environ = config.environ
    region = (
        environ.get("HYPERSH_REGION") or values.get("region") or environ.get("HYPER_DEFAULT_REGION") or ""
    )
    host = environ.get("HYPER_HOST") or values.get("host") or ""
    keys = _environment_keys(environ, values)
    registries: tuple[JsonObject, ...] = ()
    if keys is None:
        keys, cloud_region, registries = _file_keys(
            _directory(directory, environ), host or _address(region or REGIONS[0])
        )
        region = region or cloud_region
    region = region or REGIONS[0]
    _check_os(values.get("operatingsystem") or config.operating_system)
    endpoint = _endpoint(host or _address(region), values.get("tlsca", ""))
    state = values.get("state") or config.state_dir or default_state(environ, config.node_name)
    return HyperConfig(
        endpoint=endpoint,
        keys=Keys(keys[0], keys[1], _region_name(region)),
        api_version=values.get("apiversion", "1.23"),
        instance_type=_instance_type(
            environ.get("HYPER_INSTANCE_TYPE") or values.get("instancetype") or "s4"
        ),
        volume_driver=values.get("volumedriver", "hyper"),
        resources={name: _quantity(name, values.get(name, default)) for name, default in SIZES.items()},
        registries=registries,
        state=Path(state).absolute(),
    )


def _toml(path: Path) -> dict[str, str]:
    """Return the file's settings by lower-case names; keys that are not known are refused."""
    values = toml.load(str(path))
    found: dict[str, str] = {}
    for key, value in values.items():
        if key.lower() not in KEYS:
            raise ConfigError(f'{path}: "{key}" is not a setting; there are {", ".join(KEYS)}')
        if not isinstance(value, str):
            raise ConfigError(f"{path}: {key} = {value!r} must be a string in quotes")
        found[key.lower()] = value
    return found


def _environment_keys(environ: Mapping[str, str], values: Mapping[str, str]) -> tuple[str, str] | None:
    """Return the keys of the environment or the TOML file, None for neither; one alone is an error."""
    pairs = (
        ("HYPERSH_ACCESS_KEY", environ.get("HYPERSH_ACCESS_KEY"), "HYPERSH_SECRET_KEY", environ.get("HYPERSH_SECRET_KEY")),
        ("HYPER_ACCESS_KEY", environ.get("HYPER_ACCESS_KEY"), "HYPER_SECRET_KEY", environ.get("HYPER_SECRET_KEY")),
        ("AccessKey", values.get("accesskey"), "SecretKey", values.get("secretkey")),
    )  # fmt: skip
    # As it was: each variable beats the file's key by itself.
    access = pairs[0][1] or pairs[1][1] or pairs[2][1]
    secret = pairs[0][3] or pairs[1][3] or pairs[2][3]
    if access and secret:
        return access, secret
    for access_name, access_value, secret_name, secret_value in pairs:
        if access_value and not secret:
            raise ConfigError(f"{access_name} is set and {secret_name} is not; set both")
        if secret_value and not access:
            raise ConfigError(f"{secret_name} is set and {access_name} is not; set both")
    return None


def _directory(given: Path | None, environ: Mapping[str, str]) -> Path:
    if given is not None:
        return given
    return Path(environ.get("HYPER_CONFIG") or Path(environ.get("HOME") or "/") / ".hyper")


def _file_keys(directory: Path, host: str) -> tuple[tuple[str, str], str, tuple[JsonObject, ...]]:
    """Return keys, region and registries of a config.json."""
    path = directory / "config.json"
    try:
        values: Any = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"{path}: {error.strerror}; set HYPER_ACCESS_KEY and HYPER_SECRET_KEY, or name its directory by --provider-config"
        ) from error
    except ValueError as error:
        raise ConfigError(f"{path}: not JSON: {error}") from error
    clouds = values.get("clouds") if isinstance(values, dict) else None
    clouds = clouds if isinstance(clouds, dict) else {}
    cloud = clouds.get(host) or clouds.get(CLOUD)
    if not isinstance(cloud, dict):
        raise ConfigError(f'{path}: "clouds" has neither "{host}" nor "{CLOUD}"')
    access, secret = str(cloud.get("accesskey") or ""), str(cloud.get("secretkey") or "")
    if not access or not secret:
        raise ConfigError(
            f"{path}: {'accesskey' if not access else 'secretkey'} of the cloud is empty; fill it in"
        )
    auths = values.get("auths")
    return (
        (access, secret),
        str(cloud.get("region") or ""),
        (({"auths": auths},) if isinstance(auths, dict) else ()),
    )


def _address(region: str) -> str:
    return region if "://" in region else f"tcp://{region}.hyper.sh:443"


def _region_name(region: str) -> str:
    return REGIONS[0] if "://" in region else region


def _endpoint(host: str, ca: str) -> Endpoint:
    """Return the endpoint: TLS for the service's port, none for another address that does not ask for it."""
    plain = host.startswith("http://") or (host.startswith("tcp://") and not host.endswith(":443") and not ca)
    endpoint = parse(host, None if plain else TlsFiles(ca=ca))
    name = endpoint.host
    if name.endswith(".hyper.sh") and name.removesuffix(".hyper.sh") not in REGIONS:
        raise ConfigError(
            f'region "{name.removesuffix(".hyper.sh")}" is not known; there were {", ".join(REGIONS)}'
        )
    return endpoint


def _check_os(name: str) -> None:
    if name and name != "Linux":
        raise ConfigError(f'OperatingSystem "{name}" is not supported; the service runs Linux')


def _instance_type(name: str) -> str:
    if name.lower() not in TYPES:
        raise ConfigError(f'instance type "{name}" is not known; there are {", ".join(TYPES)}')
    return name.lower()


def _quantity(name: str, value: str) -> str:
    try:
        quantity.parse(value)
    except ValueError as error:
        raise ConfigError(f"{name}: {error}") from error
    return value
