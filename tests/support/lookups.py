"""ConfigMaps, Secrets and Services by name, as `virtual_kubelet.pure` asks for them."""

from __future__ import annotations

import base64


def config_map(name, data=None, *, binary=None, namespace="ns"):
    found = {"metadata": {"name": name, "namespace": namespace}, "data": data or {}}
    if binary:
        found["binaryData"] = {key: base64.b64encode(value).decode() for key, value in binary.items()}
    return found


def secret(name, data=None, *, namespace="ns"):
    encoded = {
        key: base64.b64encode(value if isinstance(value, bytes) else value.encode()).decode()
        for key, value in (data or {}).items()
    }
    return {"metadata": {"name": name, "namespace": namespace}, "data": encoded}


class FakeLookups:
    """Holds objects; `failing` maps a name to the error that reading it raises. `asked` records what was read."""

    def __init__(self, config_maps=(), secrets=(), services=(), failing=None):
        self._config_maps = {
            (one["metadata"]["namespace"], one["metadata"]["name"]): one for one in config_maps
        }
        self._secrets = {(one["metadata"]["namespace"], one["metadata"]["name"]): one for one in secrets}
        self._services = services
        self._failing = failing or {}
        self.asked = []

    def config_map(self, namespace, name):
        return self._get("ConfigMap", self._config_maps, namespace, name)

    def secret(self, namespace, name):
        return self._get("Secret", self._secrets, namespace, name)

    def services(self, namespace):
        self.asked.append(("Services", namespace))
        if namespace in self._failing:
            raise self._failing[namespace]
        return [service for service in self._services if service["metadata"]["namespace"] == namespace]

    def _get(self, kind, objects, namespace, name):
        self.asked.append((kind, namespace, name))
        if name in self._failing:
            raise self._failing[name]
        return objects.get((namespace, name))
