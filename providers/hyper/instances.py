"""Sizes of containers: the service gives what an instance type has, whatever cgroup limits say. Pure."""

from __future__ import annotations

from virtual_kubelet.errors import InvalidInput
from virtual_kubelet.objects import Container, Pod
from virtual_kubelet.pure import quantity

__all__ = ["ANNOTATION", "LABEL", "TYPES", "instance_type"]

LABEL = "sh_hyper_instancetype"
ANNOTATION = "virtual-kubelet.io/hyper-instance-type"

_MEBI, _GIBI = 1024**2, 1024**3
TYPES: dict[str, tuple[int, int]] = {  # cpus, bytes of memory; smallest first
    "s1": (1, 64 * _MEBI),
    "s2": (1, 128 * _MEBI),
    "s3": (1, 256 * _MEBI),
    "s4": (1, 512 * _MEBI),
    "m1": (1, _GIBI),
    "m2": (2, 2 * _GIBI),
    "m3": (2, 4 * _GIBI),
    "l1": (4, 4 * _GIBI),
    "l2": (4, 8 * _GIBI),
    "l3": (8, 16 * _GIBI),
}


def instance_type(pod: Pod, container: Container, default: str) -> str:
    """Return the type of a container.

    The pod's annotation (`type`, or `container=type,...`) beats all; else it is the smallest that has what is asked
    for, and `default` where nothing is.

    Raises:
        InvalidInput: no type is large enough, or an annotation names one that there is not.
    """
    asked = _annotated(pod, container["name"])
    if asked:
        if asked not in TYPES:
            raise InvalidInput(
                f'annotation {ANNOTATION}: "{asked}" is not an instance type; there are {", ".join(TYPES)}'
            )
        return asked
    resources = container.get("resources") or {}
    amounts = {**(resources.get("requests") or {}), **(resources.get("limits") or {})}
    cpu, memory = amounts.get("cpu"), amounts.get("memory")
    if cpu is None and memory is None:
        return default
    milli = quantity.parse(cpu).milli if cpu is not None else 0
    size = quantity.parse(memory).value if memory is not None else 0
    for name, (cpus, mem) in TYPES.items():
        if cpus * 1000 >= milli and mem >= size:
            return name
    raise InvalidInput(
        f'container "{container["name"]}" asks for cpu {cpu or 0} and memory {memory or 0}; the largest instance type,'
        f" l3, has 8 and 16Gi"
    )


def _annotated(pod: Pod, name: str) -> str:
    text = (pod["metadata"].get("annotations") or {}).get(ANNOTATION, "").strip().lower()
    if "=" not in text:
        return text
    pairs = (part.partition("=") for part in text.split(","))
    return next((value.strip() for key, _, value in pairs if key.strip() == name), "")
