"""The downward API: what a container may read of its own pod, by fieldRef and resourceFieldRef.

Meaning and limits are the kubelet's (Kubernetes 1.36): a label or annotation that is missing reads as "", and a
CPU or memory limit that is missing as what the pod, or else the node, has to give.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from virtual_kubelet.objects import Container, JsonObject, Pod
from virtual_kubelet.pure import names, quantity
from virtual_kubelet.pure.references import containers_of

__all__ = ["Facts", "field_value", "resource_value"]


@dataclass(frozen=True)
class Facts:
    """What a container may know of its surroundings and the pod object of the API does not say."""

    pod_ips: Sequence[str] = ()
    """The pod's addresses, first the main one; empty: not known yet."""

    host_ips: Sequence[str] = ()
    """The node's addresses, first the main one; empty: not known."""

    allocatable: Mapping[str, str] = field(default_factory=dict)
    """The node's allocatable resources, as quantities."""


_SUBSCRIPT = re.compile(r"(metadata\.(?:labels|annotations))\['(.*)'\]", re.DOTALL)


def field_value(pod: Pod, selector: JsonObject, facts: Facts) -> str | None:
    """Return the text of an `ObjectFieldSelector`; None: it is not known yet.

    Raises:
        ValueError: the kubelet knows no such field.
    """
    version = selector.get("apiVersion") or "v1"
    if version != "v1":
        raise ValueError(f"unsupported pod version: {version}")
    path = selector.get("fieldPath") or ""
    metadata = pod["metadata"]
    subscript = _SUBSCRIPT.fullmatch(path)
    if subscript:
        return _member(pod, *subscript.groups())
    if path in {"metadata.name", "metadata.namespace", "metadata.uid"}:
        return str(metadata.get(path.removeprefix("metadata."), ""))
    if path == "metadata.labels":
        return _lines(metadata.get("labels"))
    if path == "metadata.annotations":
        return _lines(metadata.get("annotations"))
    if path in {"spec.nodeName", "spec.host"}:  # the second was its name before v1
        return pod["spec"].get("nodeName", "")
    if path == "spec.serviceAccountName":
        return pod["spec"].get("serviceAccountName", "")
    return _address(pod, path, facts)


def _address(pod: Pod, path: str, facts: Facts) -> str | None:
    if path in {"status.hostIP", "status.hostIPs"}:
        addresses = facts.host_ips
    elif path in {"status.podIP", "status.podIPs"}:
        on_host = pod["spec"].get("hostNetwork") and not facts.pod_ips
        addresses = facts.host_ips if on_host else facts.pod_ips
    else:
        raise ValueError(f"unsupported fieldPath: {path}")
    if not addresses:
        return None
    return ",".join(addresses) if path.endswith("s") else addresses[0]


def _member(pod: Pod, path: str, key: str) -> str:
    """Return one label or annotation."""
    if path == "metadata.labels":
        members, complaints = pod["metadata"].get("labels"), names.label_key(key)
    else:
        members, complaints = pod["metadata"].get("annotations"), names.annotation_key(key)
    if complaints:
        raise ValueError(f"invalid key subscript in {path}['{key}']: {'; '.join(complaints)}")
    return (members or {}).get(key, "")


def _lines(members: Mapping[str, str] | None) -> str:
    """Return `key="value"` lines, sorted, values quoted as Go's %q does."""
    return "\n".join(f"{key}={_quoted(value)}" for key, value in sorted((members or {}).items()))


_ESCAPES: Final = {
    '"': '\\"',
    "\\": "\\\\",
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
}


def _quoted(text: str) -> str:
    return f'"{"".join(_escaped(character) for character in text)}"'


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable():
        return character
    code = ord(character)
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


# ---------------------------------------------------------------------------------------------------------
# Resources

_RESOURCE = re.compile(r"(limits|requests)\.(cpu|memory|ephemeral-storage|hugepages-.+)")
_NODE_GIVES: Final = frozenset({"cpu", "memory", "ephemeral-storage"})


def resource_value(pod: Pod, container: Container | None, selector: JsonObject, facts: Facts) -> str:
    """Return the number that a `ResourceFieldSelector` asks for, in units of its divisor, rounded up.

    Args:
        pod: where the selector's `containerName` is looked for.
        container: the one meant where the selector names none; None in a volume, where it must.
        selector: `{"resource": ..., "containerName": ..., "divisor": ...}`.
        facts: what the node has to give.

    Raises:
        ValueError: there is no such container or resource, or the divisor is no quantity.
    """
    name = selector.get("containerName") or ""
    if name:
        container = next((one for one in containers_of(pod) if one.get("name") == name), None)
    if container is None:
        raise ValueError(f"container {name} not found")
    resource = selector.get("resource") or ""
    match = _RESOURCE.fullmatch(resource)
    if match is None:
        raise ValueError(f"unsupported container resource : {resource}")
    which, resource = match.groups()
    amount = _amount(pod, container, which, resource, facts)
    divisor = quantity.parse(selector.get("divisor") or "1")
    if divisor <= quantity.ZERO:
        divisor = quantity.Quantity.of(1)
    if resource == "cpu":
        return str(-(-amount.milli // divisor.milli))
    return str(-(-amount.value // divisor.value))


def _amount(pod: Pod, container: Container, which: str, resource: str, facts: Facts) -> quantity.Quantity:
    resources = container.get("resources") or {}
    amounts = (resources.get("limits") if which == "limits" else resources.get("requests")) or {}
    amount = quantity.parse(amounts.get(resource, "0"))
    if amount or which == "requests" or resource not in _NODE_GIVES:
        return amount
    of_pod = quantity.parse(((pod["spec"].get("resources") or {}).get("limits") or {}).get(resource, "0"))
    return of_pod or quantity.parse(facts.allocatable.get(resource, "0"))
