"""What outlives a process when there is a data directory: keys, the administrator's token, the objects."""

from __future__ import annotations

import os
import secrets
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from virtual_kubelet import codec
from virtual_kubelet.devapi.pki import Authority, Pair, key_pem, load_key, new_key
from virtual_kubelet.devapi.storage.memory import MemoryStorage
from virtual_kubelet.errors import ConfigError
from virtual_kubelet.objects import JsonObject

__all__ = ["DataDirectory", "Keys"]

KEYS = "keys.json"
OBJECTS = "objects.json"


@dataclass(frozen=True)
class Keys:
    """All secrets of a control plane."""

    authority: Authority
    """Signs the server's certificate, and those of clients and nodes."""
    kubelet_authority: Authority
    """Signs the certificate that the server shows to kubelets."""
    service_accounts: ec.EllipticCurvePrivateKey
    admin_token: str

    @classmethod
    def create(cls, now: float) -> Keys:
        """Make new ones."""
        return cls(
            Authority.create("kubernetes-ca", now),
            Authority.create("kubelet-client-ca", now),
            new_key(),
            secrets.token_urlsafe(32),
        )

    def __repr__(self) -> str:
        return "Keys(...)"


class DataDirectory:
    """A directory of mode 0700 with two files; what is not there is made anew."""

    def __init__(self, path: str | None) -> None:
        self._path = None if path is None else Path(path)
        self._saving = threading.Lock()  # an older dump must not be written over a newer one

    def keys(self, now: float) -> Keys:
        """Return the saved keys, or new ones, which are saved."""
        saved = self._read(KEYS)
        if saved is not None:
            return _decoded(saved)
        keys = Keys.create(now)
        self._write(KEYS, _encoded(keys))
        return keys

    def load_objects(self, storage: MemoryStorage) -> bool:
        """Fill an empty storage with the saved objects; tell whether there were any."""
        saved = self._read(OBJECTS)
        if saved is None:
            return False
        storage.load(saved["version"], saved["objects"])
        return True

    def save_objects(self, storage: MemoryStorage) -> None:
        """Save all objects, where there is a directory."""
        if self._path is not None:
            with self._saving:
                objects = storage.dump()
                self._write(OBJECTS, {"objects": objects, "version": storage.version})

    def _read(self, name: str) -> JsonObject | None:
        if self._path is None:
            return None
        try:
            content: JsonObject = codec.loads((self._path / name).read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"the control plane's data directory: {self._path / name} cannot be read ({error}); "
                "repair it, or remove it to begin anew"
            ) from error
        return content

    def _write(self, name: str, content: JsonObject) -> None:
        if self._path is None:
            return
        try:
            self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor, temporary = tempfile.mkstemp(dir=self._path, prefix=f".{name}-")  # mode 0600
            with os.fdopen(descriptor, "wb") as file:
                file.write(codec.dumps(content))
            Path(temporary).replace(self._path / name)
        except OSError as error:
            raise ConfigError(
                f"the control plane's data directory {self._path} cannot be written: {error.strerror}"
            ) from error


def _encoded(keys: Keys) -> JsonObject:
    def pair(authority: Authority) -> JsonObject:
        saved = authority.pair
        return {"certificate": saved.certificate.decode(), "key": saved.key.decode()}

    return {
        "authority": pair(keys.authority),
        "kubelet_authority": pair(keys.kubelet_authority),
        "service_accounts": key_pem(keys.service_accounts).decode(),
        "admin_token": keys.admin_token,
    }


def _decoded(saved: JsonObject) -> Keys:
    def authority(pair: JsonObject) -> Authority:
        return Authority.load(Pair(pair["certificate"].encode(), pair["key"].encode()))

    try:
        return Keys(
            authority(saved["authority"]),
            authority(saved["kubelet_authority"]),
            load_key(saved["service_accounts"].encode()),
            saved["admin_token"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            f"the control plane's data directory: {KEYS} is damaged ({error}); remove it to begin anew"
        ) from error
