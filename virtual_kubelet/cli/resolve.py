"""Flags, environment and file become `Settings`: the one place that knows which beats which."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from virtual_kubelet.cli.options import OPTIONS, Option
from virtual_kubelet.errors import ConfigError
from virtual_kubelet.pure import names
from virtual_kubelet.runtime import logs
from virtual_kubelet.settings import DEFAULT_TAINT_KEY, Settings, TaintSetting

__all__ = ["Invocation", "UsageError", "resolve"]

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")


class UsageError(ConfigError):
    """A flag, variable or key of the file has a value that it cannot have: exit code 2."""


@dataclass(frozen=True)
class Invocation:
    """What the command line asks for."""

    settings: Settings
    provider_config: str = ""
    log_level: str = "info"
    log_format: str = "text"
    shutdown_timeout: float = 20


def resolve(flags: Mapping[str, Any], environ: Mapping[str, str], *, need_cluster: bool = True) -> Invocation:
    """Return what is asked for; raise `ConfigError` (or `UsageError`) with one line that names the culprit.

    Without `need_cluster` no kubeconfig is looked for.
    """
    given = _given(flags, environ)
    wanted = {option.key: given[option.key] for option in OPTIONS if option.key in given}
    logging = {
        "log_level": _one_of(str(wanted.pop("log_level", "info")).lower(), tuple(logs.LEVELS), "--log-level"),
        "log_format": _one_of(
            str(wanted.pop("log_format", "text")).lower(), tuple(logs.FORMATS), "--log-format"
        ),
    }
    provider_config = wanted.pop("provider_config", "")
    shutdown_timeout = wanted.pop("shutdown_timeout", Invocation.shutdown_timeout)
    wanted.pop("config", None)
    wanted["taints"] = _taints(wanted, environ)
    wanted["node_name"] = _node_name(wanted.pop("nodename", Settings.node_name))
    wanted["operating_system"] = str(wanted.pop("os", Settings.operating_system)).capitalize()
    wanted["state_dir"] = _state_dir(wanted.get("state_dir", ""), wanted["node_name"], environ)
    known = {item.name for item in fields(Settings)}
    assert set(wanted) <= known, set(wanted) - known
    try:
        settings = Settings(**wanted)
    except ConfigError as error:
        raise UsageError(str(error)) from error
    if need_cluster:  # last: it is looked for outside, and a wrong flag is wrong anywhere
        settings = replace(settings, kubeconfig=_kubeconfig(settings.kubeconfig, environ))
    return Invocation(settings, provider_config, **logging, shutdown_timeout=shutdown_timeout)


def _given(flags: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    """Return each option's parsed value from the first source that has it."""
    path = flags.get("config") or environ.get("VKUBELET_CONFIG", "")
    from_file = _read_file(path) if path else {}
    given = {}
    for option in OPTIONS:
        raw, source = _raw(option, flags, environ, from_file, path)
        if raw in (None, "", []):
            continue
        given[option.key] = _parse(option, raw, source)
    return given


def _raw(
    option: Option,
    flags: Mapping[str, Any],
    environ: Mapping[str, str],
    from_file: Mapping[str, Any],
    path: str,
) -> tuple[Any, str]:
    if option.key in flags:
        return flags[option.key], f"--{option.flag}"
    for name in option.variables:
        if environ.get(name):
            value: Any = environ[name]
            return value.split(",") if option.repeatable else value, f"${name}"
    return from_file.get(option.flag), f"{option.flag} in {path}"


def _parse(option: Option, raw: Any, source: str) -> Any:
    try:
        if option.repeatable:
            items = raw if isinstance(raw, list) else [raw]
            return tuple(option.parse(item) for item in items if item)
        return option.parse(raw)
    except ConfigError as error:
        raise UsageError(f"{source}: {error}") from error


def _read_file(path: str) -> dict[str, Any]:
    try:
        with Path(path).open("rb") as file:
            content: dict[str, Any] = tomllib.load(file)
    except OSError as error:
        raise ConfigError(f"config file {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"config file {path} is not TOML: {error}") from error
    known = {option.flag for option in OPTIONS} - {"config"}
    if unknown := sorted(set(content) - known):
        raise UsageError(
            f"config file {path}: unknown setting {unknown[0]}; the names are those of the flags"
        )
    return content


def _one_of(value: str, allowed: tuple[str, ...], flag: str) -> str:
    if value not in allowed:
        raise UsageError(f'{flag}: "{value}" is not one of {", ".join(allowed)}')
    return value


def _taints(wanted: dict[str, Any], environ: Mapping[str, str]) -> tuple[TaintSetting, ...]:
    """Take the two options of taints out of `wanted`; return the taints."""
    given: tuple[TaintSetting, ...] = wanted.pop("taint", ())
    if wanted.pop("disable_taint", False):
        return ()
    if given:
        return given
    try:
        default = TaintSetting(
            key=environ.get("VKUBELET_TAINT_KEY") or DEFAULT_TAINT_KEY,
            value=environ.get("VKUBELET_TAINT_VALUE") or wanted.get("provider", ""),
            effect=environ.get("VKUBELET_TAINT_EFFECT") or "NoSchedule",
        )
    except ConfigError as error:
        raise UsageError(f"$VKUBELET_TAINT_EFFECT: {error}") from error
    return (default,)


def _node_name(name: str) -> str:
    if problems := names.dns_subdomain(name):
        raise UsageError(f'--nodename: "{name}" cannot be the name of a node: {problems[0]}')
    return name


def _kubeconfig(named: str, environ: Mapping[str, str]) -> str:
    """Return the kubeconfig to use, or "" in a cluster.

    A file that was named must exist; the default one may be missing where a service account is there instead.
    """
    if named:
        paths = [part for part in named.split(os.pathsep) if part]  # $KUBECONFIG may list several
        if not any(Path(part).expanduser().is_file() for part in paths):
            raise ConfigError(f"kubeconfig {named}: no such file; set --kubeconfig or $KUBECONFIG")
        return os.pathsep.join(str(Path(part).expanduser()) for part in paths)
    home = environ.get("HOME", "")
    default = Path(home) / ".kube" / "config"
    if home and default.is_file():
        return str(default)
    if environ.get("KUBERNETES_SERVICE_HOST") and SERVICE_ACCOUNT.is_file():
        return ""
    raise ConfigError("no cluster: set --kubeconfig or $KUBECONFIG, or run in a pod with a service account")


def _state_dir(given: str, node_name: str, environ: Mapping[str, str]) -> str:
    """Return the directory of this node's state; each node of a machine has one of its own."""
    if given:
        return str(Path(given).expanduser() / node_name)
    if os.geteuid() == 0:
        return f"/var/lib/virtual-kubelet/{node_name}"
    if base := environ.get("XDG_STATE_HOME"):
        return str(Path(base) / "virtual-kubelet" / node_name)
    if home := environ.get("HOME"):
        return str(Path(home) / ".local" / "state" / "virtual-kubelet" / node_name)
    raise ConfigError("no place for state: neither $HOME nor $XDG_STATE_HOME is set; set --state-dir")
