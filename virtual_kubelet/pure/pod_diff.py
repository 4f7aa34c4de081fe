"""What counts as a change of a pod that runs.

The API server (v1.36) lets these parts of a bound pod change: container images, resources (resize), ephemeral
containers, active deadline, tolerations, and labels and annotations. A provider's `update_pod` is called when
one of them differs from what it was last given, and for nothing else: environments, which are resolved on the
way to the provider, never count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from virtual_kubelet.objects import Container, JsonObject, Pod
from virtual_kubelet.pure.status_patch import equivalent

__all__ = ["Changeable", "changeable", "changed_from", "same", "same_deletion"]

DELETION_FIELDS: Final = ("deletionTimestamp", "deletionGracePeriodSeconds")


class Changeable(NamedTuple):
    """The parts of a pod that may change; shares memory with the pod it was taken from."""

    labels: Mapping[str, str] | None
    annotations: Mapping[str, str] | None
    deadline: int | None
    tolerations: Sequence[Any] | None
    resources: Mapping[str, Any] | None  # of the pod as a whole
    containers: tuple[tuple[str | None, str | None, Any], ...]  # name, image, resources
    ephemeral: Sequence[Any] | None


def changeable(pod: Pod) -> Changeable:
    """Return the parts of `pod` that may change."""
    metadata, spec = pod["metadata"], pod.get("spec", {})
    return Changeable(
        metadata.get("labels"),
        metadata.get("annotations"),
        spec.get("activeDeadlineSeconds"),
        spec.get("tolerations"),
        spec.get("resources"),
        tuple(
            (c.get("name"), c.get("image"), c.get("resources"))
            for c in (*spec.get("containers", ()), *spec.get("initContainers", ()))
        ),
        spec.get("ephemeralContainers"),
    )


def same(one: Changeable, other: Changeable) -> bool:
    """Tell whether nothing that may change differs."""
    return one == other or all(
        equivalent(_plain(before), _plain(after)) for before, after in zip(one, other, strict=True)
    )


def same_deletion(one: Pod, other: Pod) -> bool:
    """Tell whether two states of a pod are to be ended at the same time, or both not at all."""
    before, after = one["metadata"], other["metadata"]
    return all(before.get(name) == after.get(name) for name in DELETION_FIELDS)


def changed_from(pod: Pod, held: Pod) -> bool:
    """Tell whether `pod` differs from the copy that a provider `held` through a restart of the agent.

    Many backends keep no spec, or parts of it: what the copy does not carry is unknown, which is no change.
    A copy with a resourceVersion is one that the agent handed over, kept whole: there, absent is empty.
    """
    wanted, carried = changeable(pod), changeable(held)
    whole = "resourceVersion" in held["metadata"]
    for before, after in zip(carried[:5], wanted[:5], strict=True):
        if (whole or before is not None) and not equivalent(_plain(before), _plain(after)):
            return True
    if _containers_differ(pod, held):
        return True
    debug, held_debug = wanted.ephemeral or (), carried.ephemeral or ()
    names = {c.get("name") for c in held_debug}
    return (whole or bool(held_debug)) and any(c.get("name") not in names for c in debug)


def _containers_differ(pod: Pod, held: Pod) -> bool:
    """Compare images and resources of the containers that both sides know."""
    carried = _by_name(held)
    for name, container in _by_name(pod).items():
        before: JsonObject = {**carried.get(name, {})}
        after: JsonObject = {**container}
        if any(
            key in before and not equivalent(before[key], after.get(key)) for key in ("image", "resources")
        ):
            return True
    return False


def _by_name(pod: Pod) -> dict[str, Container]:
    spec = pod.get("spec", {})
    containers = (*spec.get("containers", ()), *spec.get("initContainers", ()))
    return {c["name"]: c for c in containers if "name" in c}


def _plain(value: Any) -> Any:
    """Return tuples as lists, which is what `equivalent` knows."""
    return [_plain(item) for item in value] if isinstance(value, tuple) else value
