"""ConfigMaps, Secrets and ServiceAccounts."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import ClassVar

from virtual_kubelet.devapi.failures import FieldError
from virtual_kubelet.devapi.registry.strategy import Field, Strategy
from virtual_kubelet.objects import JsonObject
from virtual_kubelet.pure import names

__all__ = ["ConfigMapStrategy", "SecretStrategy", "ServiceAccountStrategy"]

LIMIT = 1 << 20  # bytes of all values together
FIXED = "field is immutable when `immutable` is set"

REQUIRED_KEYS = {
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
}
"""What Secrets of some types must hold."""


class ConfigMapStrategy(Strategy):
    """Plain data."""

    def validate(self, obj: JsonObject) -> list[FieldError]:
        """Check keys and size."""
        data, binary = obj.get("data") or {}, obj.get("binaryData") or {}
        found = _validate_keys(data, "data") + _validate_keys(binary, "binaryData")
        found += [
            FieldError.invalid(f"data[{key}]", key, "duplicate of key present in binaryData")
            for key in data.keys() & binary.keys()
        ]
        size = sum(len(value.encode()) for value in data.values())
        size += sum(len(base64.b64decode(value)) for value in binary.values())
        return found + ([FieldError.too_long("", LIMIT)] if size > LIMIT else [])

    def validate_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """Keep what was declared immutable."""
        return _validate_immutable(new, old, ("data", "binaryData")) + self.validate(new)


class SecretStrategy(Strategy):
    """Data that is not for everyone. What of stringData was written is found in data."""

    fields: ClassVar[Mapping[str, Field]] = {
        **Strategy.fields,
        "type": lambda secret: str(secret.get("type", "")),
    }

    def default(self, obj: JsonObject) -> None:
        """Fill in the type, and encode what was given as text."""
        obj.setdefault("type", "Opaque")
        text = obj.pop("stringData", None)
        if text:
            encoded = {key: base64.b64encode(value.encode()).decode() for key, value in text.items()}
            obj["data"] = {**(obj.get("data") or {}), **encoded}

    def validate(self, obj: JsonObject) -> list[FieldError]:
        """Check keys, size, and what the type demands."""
        data = obj.get("data") or {}
        found = _validate_keys(data, "data")
        if sum(len(base64.b64decode(value)) for value in data.values()) > LIMIT:
            found.append(FieldError.too_long("data", LIMIT))
        for key in REQUIRED_KEYS.get(obj.get("type", ""), ()):
            if key not in data:
                found.append(FieldError.required(f"data[{key}]"))
        return found

    def validate_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """Keep the type, and what was declared immutable."""
        found = _validate_immutable(new, old, ("data",))
        if new.get("type") != old.get("type"):
            found.append(FieldError.invalid("type", new.get("type"), "field is immutable"))
        return found + self.validate(new)


class ServiceAccountStrategy(Strategy):
    """Identities of pods."""

    returns_deleted = True


def _validate_keys(data: JsonObject, path: str) -> list[FieldError]:
    return [
        FieldError.invalid(f"{path}[{key}]", key, text) for key in data for text in names.config_map_key(key)
    ]


def _validate_immutable(new: JsonObject, old: JsonObject, fields: tuple[str, ...]) -> list[FieldError]:
    if not old.get("immutable"):
        return []
    found = [FieldError.forbidden(field, FIXED) for field in fields if new.get(field) != old.get(field)]
    if not new.get("immutable"):
        found.append(FieldError.forbidden("immutable", FIXED))
    return found
