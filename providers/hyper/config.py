"""The settings of the hyper provider, of both generations that there were.

The first: a TOML file, and HYPERSH_ACCESS_KEY, HYPERSH_SECRET_KEY, HYPERSH_REGION that beat it.
The second: HYPER_HOST, HYPER_ACCESS_KEY with HYPER_SECRET_KEY, HYPER_DEFAULT_REGION, HYPER_INSTANCE_TYPE, and the
config.json of the service's command line (it or its directory by --provider-config; HYPER_CONFIG, ~/.hyper), whose
keys are used when the environment has none. For other endpoints: HYPER_API_VERSION, HYPER_VOLUME_DRIVER, HYPER_PUBLISH_PORTS.

Keys of the TOML file, whose case does not matter:

Region = "us-west-1"         AccessKey, SecretKey = "..."     OperatingSystem = "Linux"
CPU = "20"   Memory = "100Gi"   Pods = "20"                   Host = "tcp://127.0.0.1:8080"
APIVersion = "1.23"          InstanceType = "s4"              VolumeDriver = "hyper" ("" for an engine's own)
TLSCA = "ca.pem"             State = "/var/lib/..."             PublishPorts = "all" ("hostPort": no others)
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

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
SERVICE = ".hyper.sh"
HTTP, HTTPS = 80, 443
CLOUD = f"tcp://*{SERVICE}:443"
SIZES = {"cpu": "20", "memory": "100Gi", "pods": "20"}
KEYS = (
    "region", "accesskey", "secretkey", "operatingsystem", "cpu", "memory", "pods", "host", "apiversion",
    "instancetype", "volumedriver", "publishports", "tlsca", "state",
)  # fmt: skip


@dataclass(frozen=True)
class HyperConfig:
    """Settings; see the module."""

    endpoint: Endpoint
    keys: Keys
    api_version: str
    instance_type: str
    volume_driver: str
    publish_all: bool
    resources: Mapping[str, str]
    registries: tuple[JsonObject, ...]
    state: Path


def load(config: ProviderConfig) -> HyperConfig:
    """Return the settings; raise `ConfigError`."""
    environ = config.environ
    path = Path(config.config_path) if config.config_path else None
    is_json = path is not None and (path.is_dir() or path.suffix == ".json")
    values = _toml(path) if path is not None and not is_json else {}
    host = environ.get("HYPER_HOST") or values.get("host") or ""
    region = _region(environ, values)
    found = _keys(environ, values)
    keys, cloud_region, registries = (
        (found, "", ())
        if found
        else _file_keys(
            _json_file(path if is_json else None, environ), host or _address(region or REGIONS[0])
        )
    )
    endpoint = _endpoint(host or _address(region or cloud_region or REGIONS[0]), values.get("tlsca", ""))
    _check_os(values.get("operatingsystem") or config.operating_system)
    state = values.get("state") or config.state_dir or default_state(environ, config.node_name)
    return HyperConfig(
        endpoint=endpoint,
        keys=Keys(keys[0], keys[1], _signing_region(region, endpoint, cloud_region)),
        api_version=_version(environ.get("HYPER_API_VERSION") or values.get("apiversion") or "1.23"),
        instance_type=_instance_type(
            environ.get("HYPER_INSTANCE_TYPE") or values.get("instancetype") or "s4"
        ),
        volume_driver=environ.get("HYPER_VOLUME_DRIVER", values.get("volumedriver", "hyper")),
        publish_all=_publish_all(environ.get("HYPER_PUBLISH_PORTS") or values.get("publishports") or "all"),
        resources={name: _quantity(name, values.get(name, default)) for name, default in SIZES.items()},
        registries=registries,
        state=Path(state).absolute(),
    )


def _region(environ: Mapping[str, str], values: Mapping[str, str]) -> str:
    """Return the region that was asked for, "" for none; HYPER_HOST makes HYPER_DEFAULT_REGION mean nothing."""
    default = "" if environ.get("HYPER_HOST") else environ.get("HYPER_DEFAULT_REGION")
    return environ.get("HYPERSH_REGION") or default or values.get("region") or ""


def _signing_region(region: str, endpoint: Endpoint, cloud_region: str) -> str:
    """Return the region that requests are signed for: the service's own host names say theirs."""
    if region and "://" not in region:
        return region
    by_name = endpoint.host.removesuffix(SERVICE) if endpoint.host.endswith(SERVICE) else ""
    return by_name or cloud_region or REGIONS[0]


def _toml(path: Path) -> dict[str, str]:
    """Return the file's settings by lower-case names; keys that are not known are refused."""
    values = toml.load(str(path))
    found: dict[str, str] = {}
    for key, value in values.items():
        name = key.lower()
        if name not in KEYS:
            raise ConfigError(f'{path}: "{key}" is not a setting; there are {", ".join(KEYS)}')
        # Numbers have no quotes in the file that the first form came with.
        number = name in SIZES and isinstance(value, int) and not isinstance(value, bool)
        if not number and not isinstance(value, str):
            raise ConfigError(f"{path}: {key} must be a string in quotes")  # what it is may be a secret
        found[name] = str(value)
    return found


def _keys(environ: Mapping[str, str], values: Mapping[str, str]) -> tuple[str, str] | None:
    """Return the keys of the environment or the TOML file, None for neither; one alone is an error."""
    names = ("HYPER_ACCESS_KEY", "HYPER_SECRET_KEY")
    second = _both(names, environ.get(names[0]), environ.get(names[1]))
    names = ("HYPERSH_ACCESS_KEY", "HYPERSH_SECRET_KEY")
    access, secret = environ.get(names[0]), environ.get(names[1])
    if access or secret:
        # As it was: each of these beats the file's key by itself.
        return _both(names, access or values.get("accesskey"), secret or values.get("secretkey"))
    return second or _both(("AccessKey", "SecretKey"), values.get("accesskey"), values.get("secretkey"))


def _both(names: tuple[str, str], access: str | None, secret: str | None) -> tuple[str, str] | None:
    if access and secret:
        return access, secret
    if not access and not secret:
        return None
    there, missing = names if access else names[::-1]
    raise ConfigError(f"{there} is set and {missing} is not; set both")


def _json_file(given: Path | None, environ: Mapping[str, str]) -> Path:
    """Return the file of the service's command line: `given` is it, or its directory."""
    if given is not None and not given.is_dir():
        return given
    directory = given or Path(environ.get("HYPER_CONFIG") or Path(environ.get("HOME") or "/") / ".hyper")
    return directory / "config.json"


def _file_keys(path: Path, host: str) -> tuple[tuple[str, str], str, tuple[JsonObject, ...]]:
    """Return keys, region and registries of a config.json."""
    values = _json(path)
    clouds = values.get("clouds")
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
    registries = ({"auths": auths},) if isinstance(auths, dict) else ()
    return (access, secret), str(cloud.get("region") or ""), registries


def _json(path: Path) -> JsonObject:
    try:
        values: Any = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"{path}: {error.strerror}; set HYPER_ACCESS_KEY and HYPER_SECRET_KEY, or name its directory by --provider-config"
        ) from error
    except ValueError as error:
        raise ConfigError(f"{path}: not JSON: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: not a JSON object")
    return values


def _address(region: str) -> str:
    return region if "://" in region else f"tcp://{region}{SERVICE}:443"


def _endpoint(host: str, ca: str) -> Endpoint:
    """Return the endpoint: TLS for the service and its port, none for another address that does not ask for it."""
    parts = urlsplit(host)
    if parts.netloc and parts.path.strip("/"):
        raise ConfigError(f'"{host}" has a path; name scheme, host and port, and the version by APIVersion')
    name, port = parts.hostname or "", _port(host)
    if not port and parts.scheme != "unix" and name:
        secure = parts.scheme == "https" or ca or name.endswith(SERVICE)
        host = f"{host.rstrip('/')}:{HTTPS if secure else HTTP}"
        port = _port(host)
    plain = parts.scheme == "http" or (parts.scheme == "tcp" and port != HTTPS and not ca)
    endpoint = parse(host, None if plain else TlsFiles(ca=ca))
    region = endpoint.host.removesuffix(SERVICE)
    if endpoint.host.endswith(SERVICE) and region not in REGIONS:
        raise ConfigError(
            f'region "{region}" is not known; there were {", ".join(REGIONS)}, and HYPER_HOST names another endpoint'
        )
    return endpoint


def _version(text: str) -> str:
    if not re.fullmatch(r"v?\d+\.\d+", text):
        raise ConfigError(f'APIVersion "{text}" is not a version such as "1.23"')
    return text.removeprefix("v")


def _port(host: str) -> int:
    try:
        return urlsplit(host).port or 0
    except ValueError as error:
        raise ConfigError(f'"{host}": {error}') from error


def _check_os(name: str) -> None:
    if name and name != "Linux":
        raise ConfigError(f'OperatingSystem "{name}" is not supported; the service runs Linux')


def _instance_type(name: str) -> str:
    if name.lower() not in TYPES:
        raise ConfigError(f'instance type "{name}" is not known; there are {", ".join(TYPES)}')
    return name.lower()


def _publish_all(text: str) -> bool:
    if text not in {"all", "hostPort"}:
        raise ConfigError(f'PublishPorts "{text}" is neither "all" nor "hostPort"')
    return text == "all"


def _quantity(name: str, value: str) -> str:
    try:
        negative = quantity.parse(value).nanos < 0
    except ValueError as error:
        raise ConfigError(f"{name}: {error}") from error
    if negative:
        raise ConfigError(f"{name}: {value} is less than nothing")
    return value
