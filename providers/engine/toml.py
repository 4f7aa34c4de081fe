"""Reads a provider's TOML file, and complains of what is wrong with it: file, key, what would be right."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from virtual_kubelet.errors import ConfigError
from virtual_kubelet.pure import quantity

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["QUANTITIES", "Table", "load", "read"]

QUANTITIES = ("cpu", "memory", "pods", "ephemeral-storage")


def read(path: str, known: Collection[str]) -> Table:
    """Return the file's settings, those of `known` only; raise `ConfigError`. "" is an empty file."""
    values = load(path) if path else {}
    for key in values:
        if key not in known:
            raise ConfigError(f'{path}: "{key}" is not a setting; there are {", ".join(sorted(known))}')
    return Table(path, values)


def load(path: str) -> dict[str, Any]:
    """Return what a TOML file holds; raise `ConfigError`."""
    try:
        with Path(path).open("rb") as file:
            values: dict[str, Any] = tomllib.load(file)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; correct --provider-config") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not TOML: {error}") from error
    return values


class Table:
    """Settings with their types checked; each method raises `ConfigError`."""

    def __init__(self, where: str, values: Mapping[str, Any]) -> None:
        self._where = where
        self._values = values

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def text(self, key: str, default: str = "") -> str:
        """Return a string."""
        value = self._values.get(key, default)
        if not isinstance(value, str):
            raise self._error(key, "must be a string in quotes")
        return value

    def flag(self, key: str, default: bool) -> bool:  # noqa: FBT001 - as dict.get has it
        """Return true or false."""
        value = self._values.get(key, default)
        if not isinstance(value, bool):
            raise self._error(key, "must be true or false")
        return value

    def number(self, key: str, default: int, *, least: int = 0) -> int:
        """Return a whole number."""
        value = self._values.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise self._error(key, f"must be a number, {least} or more")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """Return a list of strings."""
        value = self._values.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self._error(key, 'must be a list of strings, for example ["a", "b"]')
        return tuple(value)

    def bytes(self, key: str, default: str) -> int:
        """Return a quantity as a number of bytes."""
        return quantity.parse(self._quantity(key, self._values.get(key, default))).value

    def resources(self) -> dict[str, str]:
        """Return the node's resources: the four of old, and the table `others`."""
        found = {key: self._quantity(key, self._values[key]) for key in QUANTITIES if key in self._values}
        others = self._values.get("others", {})
        if not isinstance(others, dict):
            raise self._error("others", 'must be a table of resources, for example "example.com/gpu" = "1"')
        return found | {key: self._quantity(key, item) for key, item in others.items()}

    def _quantity(self, key: str, value: object) -> str:
        if not isinstance(value, bool) and isinstance(value, (str, int, float)):
            with contextlib.suppress(ValueError):
                if quantity.parse(str(value)).nanos >= 0:
                    return str(value)
        raise ConfigError(f'{self._where}: {key} = {value!r} is not a quantity such as "2" or "512Mi"')

    def _error(self, key: str, must: str) -> ConfigError:
        return ConfigError(f"{self._where}: {key} = {self._values.get(key)!r} {must}")
