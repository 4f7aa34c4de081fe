"""The settings of the process provider, from the TOML file of --provider-config.

cpu = "4"            # what the node offers; each left out is the machine's own
memory = "8Gi"
pods = "110"
ephemeral-storage = "100Gi"
state = "/var/lib/virtual-kubelet/vm-1"   # beats --state-dir
logs = "/var/log/pods"                    # default: below the state directory
log-max-size = "10Mi"
log-max-files = 5
cgroup = "/sys/fs/cgroup/pods"            # to divide among containers, so that limits are enforced
mounts = "auto"      # or "off": never use mount namespaces
[others]             # extended resources
"example.com/dongle" = "2"
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from virtual_kubelet.errors import ConfigError
from virtual_kubelet.podruntime.places import default_state
from virtual_kubelet.provider import ProviderConfig
from virtual_kubelet.pure import quantity

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["ProcessConfig", "load"]

QUANTITIES = ("cpu", "memory", "pods", "ephemeral-storage")
KNOWN = (*QUANTITIES, "state", "logs", "log-max-size", "log-max-files", "mounts", "cgroup", "others")
MOUNTS = ("auto", "off")


@dataclass(frozen=True)
class ProcessConfig:
    """Settings; see the module."""

    state: Path
    logs: Path
    resources: Mapping[str, str] = field(default_factory=dict)
    log_max_bytes: int = 10 * 1024 * 1024
    log_max_files: int = 5
    mounts: bool = True
    cgroup: str = ""  # an absolute path


def load(config: ProviderConfig) -> ProcessConfig:
    """Return the settings; raise `ConfigError`."""
    values = _read(config.config_path) if config.config_path else {}
    where = config.config_path
    for key in values:
        if key not in KNOWN:
            raise ConfigError(f'{where}: "{key}" is not a setting; there are {", ".join(KNOWN)}')
    state = Path(
        _text(where, values, "state") or config.state_dir or default_state(config.environ, config.node_name)
    ).absolute()
    mounts = _text(where, values, "mounts") or "auto"
    if mounts not in MOUNTS:
        raise ConfigError(f'{where}: mounts = "{mounts}" is not one of {", ".join(MOUNTS)}')
    logs = _text(where, values, "logs")
    return ProcessConfig(
        state=state,
        logs=Path(logs).absolute() if logs else state / "logs",
        resources=_resources(where, values),
        log_max_bytes=_bytes(where, values, "log-max-size", 10 * 1024 * 1024),
        log_max_files=_count(where, values, "log-max-files", 5, least=2),
        mounts=mounts == "auto",
        cgroup=_cgroup(where, values),
    )


def _read(path: str) -> dict[str, Any]:
    try:
        with Path(path).open("rb") as file:
            values: dict[str, Any] = tomllib.load(file)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; correct --provider-config") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not TOML: {error}") from error
    return values


def _text(where: str, values: Mapping[str, Any], key: str) -> str:
    value = values.get(key, "")
    if not isinstance(value, str):
        raise ConfigError(f"{where}: {key} must be a string in quotes")
    return value


def _cgroup(where: str, values: Mapping[str, Any]) -> str:
    path = _text(where, values, "cgroup")
    if path and not Path(path, "cgroup.controllers").is_file():
        raise ConfigError(f'{where}: cgroup = "{path}" is no cgroup (v2); make it, or leave the setting out')
    return path


def _quantity(where: str, key: str, value: object) -> str:
    if not isinstance(value, bool) and isinstance(value, (str, int, float)):
        with contextlib.suppress(ValueError):
            if quantity.parse(str(value)).nanos >= 0:
                return str(value)
    raise ConfigError(f'{where}: {key} = {value!r} is not a quantity such as "2" or "512Mi"')


def _resources(where: str, values: Mapping[str, Any]) -> dict[str, str]:
    found = {key: _quantity(where, key, values[key]) for key in QUANTITIES if key in values}
    others = values.get("others", {})
    if not isinstance(others, dict):
        raise ConfigError(
            f'{where}: others must be a table of resources, for example "example.com/gpu" = "1"'
        )
    return found | {key: _quantity(where, key, item) for key, item in others.items()}


def _bytes(where: str, values: Mapping[str, Any], key: str, default: int) -> int:
    if key not in values:
        return default
    size = quantity.parse(_quantity(where, key, values[key])).value
    if size < 4096:
        raise ConfigError(f'{where}: {key} = "{values[key]}" is too small; use 4Ki or more')
    return size


def _count(where: str, values: Mapping[str, Any], key: str, default: int, *, least: int) -> int:
    value = values.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigError(f"{where}: {key} = {value!r} must be a number, {least} or more")
    return value
