"""Validation of changed pods: what of a spec may change once the pod exists, by which way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from virtual_kubelet.devapi.failures import FieldError
from virtual_kubelet.devapi.registry.container_validation import validate_container, validate_resources
from virtual_kubelet.devapi.registry.pod_validation import validate_tolerations
from virtual_kubelet.objects import JsonObject, PodSpec
from virtual_kubelet.pure import qos

__all__ = ["keep_all_but_resources", "validate_ephemeral", "validate_resize", "validate_update"]

IMMUTABLE = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)
RESIZABLE = frozenset({"cpu", "memory"})


def validate_update(new: JsonObject, old: JsonObject) -> list[FieldError]:
    """Return what is wrong with a change of the spec."""
    after, before = new.get("spec") or {}, old["spec"]
    if after == before:
        return []
    found = []
    for field in ("containers", "initContainers"):
        if len(after.get(field) or ()) != len(before.get(field) or ()):
            complaint = "pod updates may not add or remove containers"
            return [FieldError.forbidden(f"spec.{field}", complaint)]
        for index, container in enumerate(after.get(field) or ()):
            if not container.get("image"):
                found.append(FieldError.required(f"spec.{field}[{index}].image"))
    found += _validate_deadline(after, before)
    found += _validate_added_tolerations(after, before)
    if found:
        return found
    changed = [path for path in _differences(_fixed(after), _fixed(before)) if path]
    if changed:
        return [FieldError.forbidden("spec", f"{IMMUTABLE}; this update changes {', '.join(changed)}")]
    return []


def _fixed(spec: JsonObject) -> JsonObject:
    """Return the spec without what may change."""
    fixed = {
        key: value
        for key, value in spec.items()
        if key not in {"activeDeadlineSeconds", "tolerations", "schedulingGates"}
    }
    for field in ("containers", "initContainers"):
        if field in spec:
            fixed[field] = [{**container, "image": ""} for container in spec[field]]
    if spec.get("terminationGracePeriodSeconds", 0) < 0:
        fixed["terminationGracePeriodSeconds"] = 1
    return fixed


def _differences(new: Any, old: Any, path: str = "spec") -> Iterator[str]:
    """Yield the paths at which two values differ. Values are not shown: they may be secrets."""
    if isinstance(new, dict) and isinstance(old, dict):
        for key in sorted(new.keys() | old.keys()):
            if new.get(key) != old.get(key):
                yield from _differences(new.get(key), old.get(key), f"{path}.{key}")
    elif isinstance(new, list) and isinstance(old, list) and len(new) == len(old):
        for index, (one, other) in enumerate(zip(new, old, strict=True)):
            if one != other:
                yield from _differences(one, other, f"{path}[{index}]")
    else:
        yield path


def _validate_deadline(after: JsonObject, before: JsonObject) -> list[FieldError]:
    path = "spec.activeDeadlineSeconds"
    now, held = after.get("activeDeadlineSeconds"), before.get("activeDeadlineSeconds")
    if now == held:
        return []
    if now is None:
        return [FieldError.invalid(path, None, "must not update from a positive integer to nil value")]
    if now < 0:
        return [FieldError.invalid(path, now, "must be between 0 and 2147483647, inclusive")]
    if held is not None and now > held:
        return [FieldError.invalid(path, now, "must be less than or equal to previous value")]
    return []


def _validate_added_tolerations(after: JsonObject, before: JsonObject) -> list[FieldError]:
    tolerations = after.get("tolerations") or []
    found = validate_tolerations(tolerations, "spec.tolerations")
    for held in before.get("tolerations") or ():
        # How long a toleration holds may change, the toleration itself may not.
        same = [{**each, "tolerationSeconds": held.get("tolerationSeconds")} for each in tolerations]
        if {**held, "tolerationSeconds": held.get("tolerationSeconds")} not in same:
            complaint = "existing toleration can not be modified except its tolerationSeconds"
            found.append(FieldError.forbidden("spec.tolerations", complaint))
    return found


def validate_ephemeral(new: JsonObject, old: JsonObject) -> list[FieldError]:
    """Return what is wrong with the ephemeral containers of a pod."""
    path = "spec.ephemeralContainers"
    wanted = new["spec"].get("ephemeralContainers") or []
    held = {container["name"]: container for container in old["spec"].get("ephemeralContainers") or ()}
    volumes = {volume["name"]: volume for volume in new["spec"].get("volumes") or ()}
    fixed = [*new["spec"]["containers"], *(new["spec"].get("initContainers") or ())]
    taken = {container["name"] for container in fixed}
    found = []
    for index, container in enumerate(wanted):
        here = f"{path}[{index}]"
        name = container.get("name", "")
        found += validate_container(container, here, volumes)
        if name in taken:
            found.append(FieldError.duplicate(f"{here}.name", name))
        taken.add(name)
        target = container.get("targetContainerName")
        if target and target not in {each["name"] for each in fixed}:
            found.append(FieldError.not_found(f"{here}.targetContainerName", target))
        for field in ("ports", "livenessProbe", "readinessProbe", "startupProbe", "lifecycle"):
            if field in container:
                found.append(
                    FieldError.forbidden(f"{here}.{field}", "cannot be set for an Ephemeral Container")
                )
        if name in held and held[name] != container:
            found.append(
                FieldError.forbidden(here, f'existing ephemeral containers "{name}" may not be changed')
            )
    gone = held.keys() - {container.get("name") for container in wanted}
    found += [
        FieldError.forbidden(path, f'existing ephemeral containers "{name}" may not be removed')
        for name in sorted(gone)
    ]
    return found


def keep_all_but_resources(new: JsonObject, old: JsonObject) -> None:
    """Put back all but the resources and resize policies of containers."""
    spec = dict(old["spec"])
    for field in ("containers", "initContainers"):
        wanted = {each.get("name"): each for each in (new.get("spec") or {}).get(field) or ()}
        if field in spec:
            spec[field] = [_resized(container, wanted.get(container["name"])) for container in spec[field]]
    new["spec"] = spec
    new["status"] = old.get("status", {})


def _resized(held: JsonObject, wanted: JsonObject | None) -> JsonObject:
    if wanted is None:
        return held
    resized = dict(held)
    for field in ("resources", "resizePolicy"):
        if field in wanted:
            resized[field] = wanted[field]
    return resized


def validate_resize(new: JsonObject, old: JsonObject) -> list[FieldError]:
    """Return what is wrong with new amounts."""
    found = []
    for field in ("containers", "initContainers"):
        for index, container in enumerate(new["spec"].get(field) or ()):
            path = f"spec.{field}[{index}].resources"
            found += validate_resources(container.get("resources") or {}, path)
            held = old["spec"][field][index].get("resources") or {}
            found += _only_resizable(container.get("resources") or {}, held, path)
    if not found and qos.qos_class(cast("PodSpec", new["spec"])) != old.get("status", {}).get("qosClass"):
        complaint = "Pod QOS Class may not change as a result of resizing"
        found.append(FieldError.invalid("spec", new["status"].get("qosClass"), complaint))
    return found


def _only_resizable(now: JsonObject, held: JsonObject, path: str) -> list[FieldError]:
    for field in ("limits", "requests"):
        after, before = now.get(field) or {}, held.get(field) or {}
        names = {name for name in after.keys() | before.keys() if after.get(name) != before.get(name)}
        if names - RESIZABLE:
            return [FieldError.forbidden(path, "only cpu and memory resources are mutable")]
    return []
