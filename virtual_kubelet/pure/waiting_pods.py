"""Whether a pod waits for a ConfigMap or Secret before its containers can begin, as far as its status tells.

References are told apart by a text, `key_of`: kind, namespace and name.
"""

from __future__ import annotations

from typing import Final

from virtual_kubelet.objects import ContainerStatus, Pod
from virtual_kubelet.pure.references import Reference, references

__all__ = ["has_begun", "key_of", "lacks_something", "names", "waits_for"]

CONFIG_ERROR: Final = "CreateContainerConfigError"


def key_of(kind: str, namespace: str, name: str) -> str:
    """Return the text for one object."""
    return f"{kind}/{namespace}/{name}"


def _key(reference: Reference) -> str:
    return key_of(reference.kind, reference.namespace, reference.name)


def names(pod: Pod) -> list[str]:
    """Return what a pod refers to, by key; nothing for one without a spec."""
    return [_key(found) for found in references(pod)] if "spec" in pod else []


def waits_for(pod: Pod, key: str) -> bool:
    """Tell whether a pod is still to begin and cannot without what `key` names."""
    phase = pod.get("status", {}).get("phase") or "Pending"
    if phase != "Pending" or "deletionTimestamp" in pod["metadata"]:
        return False
    return any(not found.optional and _key(found) == key for found in references(pod))


def lacks_something(pod: Pod) -> bool:
    """Tell whether a container is held up by a reference: by the object, or by a key that it does not have."""
    return any(
        each.get("state", {}).get("waiting", {}).get("reason") == CONFIG_ERROR for each in _statuses(pod)
    )


def has_begun(pod: Pod) -> bool:
    """Tell whether a container of the pod runs or has run: its volumes are there, then."""
    return any({"running", "terminated"} & each.get("state", {}).keys() for each in _statuses(pod))


def _statuses(pod: Pod) -> list[ContainerStatus]:
    status = pod.get("status", {})
    return [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
