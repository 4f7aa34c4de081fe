"""From the text of a flag, a variable or a file to a value. Every error says what would have been right."""

from __future__ import annotations

import ipaddress
import math
import re
from typing import Any

from virtual_kubelet.errors import ConfigError
from virtual_kubelet.pure import names
from virtual_kubelet.pure.taints import parse_taint
from virtual_kubelet.settings import TaintSetting

__all__ = [
    "boolean",
    "duration",
    "integer",
    "ip_address",
    "ip_addresses",
    "labels",
    "namespace",
    "number",
    "taint",
    "text",
]

TRUE = {"1", "t", "true", "yes", "on"}
FALSE = {"0", "f", "false", "no", "off", ""}
UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")


def text(value: Any) -> str:
    """Return a string as it is."""
    if not isinstance(value, str):
        raise ConfigError(f"{value!r} is not a string; put it in quotes")
    return value


def boolean(value: Any) -> bool:
    """Read true or false; "" is false."""
    word = str(value).lower()
    if word in TRUE:
        return True
    if word in FALSE:
        return False
    raise ConfigError(f'"{value}" is neither true nor false')


def integer(value: Any) -> int:
    """Read a whole number."""
    try:
        return int(str(value))
    except ValueError as error:
        raise ConfigError(f'"{value}" is not a whole number') from error


def number(value: Any) -> float:
    """Read a number."""
    try:
        result = float(str(value))
    except ValueError as error:
        raise ConfigError(f'"{value}" is not a number') from error
    if not math.isfinite(result):
        raise ConfigError(f'"{value}" is not a finite number')
    return result


def duration(value: Any) -> float:
    """Read a duration as Go writes it (`1m30s`, `500ms`), or a plain number of seconds. Return seconds."""
    word = str(value).strip()
    try:
        seconds = float(word)
    except ValueError:
        seconds = _go_duration(word)
    if not 0 <= seconds < float("inf"):
        raise ConfigError(f'"{value}" is not a duration; write for example 30s, 1m30s or 500ms')
    return seconds


def _go_duration(word: str) -> float:
    if not word or DURATION.sub("", word):
        raise ConfigError(f'"{word}" is not a duration; write for example 30s, 1m30s or 500ms')
    return sum(float(amount) * UNITS[unit] for amount, unit in DURATION.findall(word))


def ip_address(value: Any) -> str:
    """Read an IPv4 or IPv6 address."""
    try:
        return str(ipaddress.ip_address(str(value).strip()))
    except ValueError as error:
        raise ConfigError(f'"{value}" is not an IP address, such as 10.0.0.9') from error


def ip_addresses(value: Any) -> tuple[str, ...]:
    """Read a list of IP addresses."""
    return tuple(ip_address(item) for item in _items(value))


def labels(value: Any) -> dict[str, str]:
    """Read `key=value,key2=value2`, or a table of a file, as labels that the API server takes."""
    pairs = value.items() if isinstance(value, dict) else map(_key_value, _items(value))
    result = {str(key): str(item) for key, item in pairs}
    for key, item in result.items():
        if problems := [*names.label_key(key), *names.label_value(item)]:
            raise ConfigError(f'"{key}={item}" is not a label: {problems[0]}')
    return result


def _key_value(pair: str) -> tuple[str, str]:
    key, equals, item = pair.partition("=")
    if not equals or not key:
        raise ConfigError(f'"{pair}" is not a label; write KEY=VALUE')
    return key, item


def _items(value: Any) -> list[str]:
    """Return a list of a file, or what is between commas."""
    items = value if isinstance(value, list) else str(value).split(",")
    return [str(item).strip() for item in items if str(item).strip()]


def namespace(value: Any) -> str:
    """Read the name of a namespace."""
    if problems := names.dns_label(text(value)):
        raise ConfigError(f'"{value}" cannot be the name of a namespace: {problems[0]}')
    return text(value)


def taint(value: Any) -> TaintSetting:
    """Read `KEY[=VALUE][:EFFECT]`."""
    try:
        parsed = parse_taint(str(value).strip())
    except ValueError as error:
        raise ConfigError(f"{error}; write KEY[=VALUE][:EFFECT]") from error
    return TaintSetting(parsed["key"], parsed["value"], parsed["effect"])
