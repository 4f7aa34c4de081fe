"""Liveness and readiness probes of containers. Pure.

ACI (2023-05-01, ContainerProbe) knows exec and httpGet; a port is a number, the scheme lower-case.
"""

from __future__ import annotations

from typing import Any

from virtual_kubelet.errors import InvalidInput
from virtual_kubelet.objects import Container, JsonObject

__all__ = ["translate"]

_NUMBERS = ("initialDelaySeconds", "periodSeconds", "failureThreshold", "successThreshold", "timeoutSeconds")
_KINDS = ("exec", "httpGet", "tcpSocket", "grpc")


def translate(path: str, probe: JsonObject, container: Container) -> JsonObject:
    """Return the probe at field `path` of `container`.

    Raises:
        InvalidInput: it is of a kind that a container group does not have; names the field.
    """
    kinds = [kind for kind in _KINDS if probe.get(kind) is not None]
    if len(kinds) != 1:
        raise InvalidInput(f"{path}: must have exactly one of exec and httpGet")
    kind = kinds[0]
    if kind not in {"exec", "httpGet"}:
        raise InvalidInput(f"{path}.{kind}: container groups have exec and httpGet probes only")
    if probe.get("terminationGracePeriodSeconds") is not None:
        raise InvalidInput(
            f"{path}.terminationGracePeriodSeconds: container groups have no grace of their own"
        )
    result: JsonObject = {name: probe[name] for name in _NUMBERS if probe.get(name) is not None}
    if kind == "exec":
        result["exec"] = {"command": list(probe["exec"].get("command") or ())}
    else:
        result["httpGet"] = _http(f"{path}.httpGet", probe["httpGet"], container)
    return result


def _http(path: str, get: JsonObject, container: Container) -> JsonObject:
    if get.get("host"):
        raise InvalidInput(f"{path}.host: a container group's probe asks its own container")
    request: JsonObject = {
        "path": get.get("path") or "/",
        "port": _port(f"{path}.port", get.get("port"), container),
        "scheme": (get.get("scheme") or "HTTP").lower(),
    }
    if headers := get.get("httpHeaders"):
        request["httpHeaders"] = [{"name": item["name"], "value": item.get("value", "")} for item in headers]
    return request


def _port(path: str, port: Any, container: Container) -> int:
    if isinstance(port, int):
        return port
    for declared in container.get("ports") or ():
        if declared.get("name") == port:
            return declared["containerPort"]
    if isinstance(port, str) and port.isdigit():
        return int(port)
    raise InvalidInput(f'{path}: the container has no port named "{port}"')
