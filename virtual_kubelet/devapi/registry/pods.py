"""Pods: what may be set when, by whom, and how they end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, cast

from virtual_kubelet.devapi.failures import FieldError
from virtual_kubelet.devapi.registry import pod_status_validation, pod_update_validation, pod_validation
from virtual_kubelet.devapi.registry.pod_defaults import default_pod
from virtual_kubelet.devapi.registry.strategy import Field, Strategy, UpdateRules
from virtual_kubelet.objects import JsonObject, PodSpec
from virtual_kubelet.pure import qos

__all__ = ["EphemeralContainersRules", "PodStatusRules", "PodStrategy", "ResizeRules"]

FINISHED = frozenset({"Failed", "Succeeded"})


def _spec(field: str) -> Any:
    return lambda pod: str(pod.get("spec", {}).get(field, ""))


def _status(field: str) -> Any:
    return lambda pod: str(pod.get("status", {}).get(field, ""))


class PodStrategy(Strategy):
    """The main resource: the spec, hardly any of which may change once the pod exists."""

    has_generation = True
    has_status = True
    returns_deleted = True
    fields: ClassVar[Mapping[str, Field]] = {
        **Strategy.fields,
        "spec.nodeName": _spec("nodeName"),
        "spec.restartPolicy": _spec("restartPolicy"),
        "spec.schedulerName": _spec("schedulerName"),
        "spec.serviceAccountName": _spec("serviceAccountName"),
        "spec.hostNetwork": lambda pod: "true" if pod.get("spec", {}).get("hostNetwork") else "false",
        "status.phase": _status("phase"),
        "status.podIP": _status("podIP"),
        "status.podIPs": _status("podIP"),
        "status.nominatedNodeName": _status("nominatedNodeName"),
    }

    def default(self, obj: JsonObject) -> None:
        """Fill in the spec's defaults, and podIP and podIPs from one another."""
        default_pod(obj)
        pod_status_validation.pair_addresses(obj.get("status") or {})

    def prepare_create(self, obj: JsonObject) -> None:
        """Give the pod the status of one that nobody has looked at."""
        spec = obj.setdefault("spec", {})
        obj["status"] = {"phase": "Pending"}
        if spec.get("containers"):
            try:
                obj["status"]["qosClass"] = qos.qos_class(cast("PodSpec", spec))
            except (KeyError, TypeError, ValueError):
                pass  # a quantity that is none: validation names it

    def validate(self, obj: JsonObject) -> list[FieldError]:
        """Return what is wrong with a new pod."""
        return pod_validation.validate_pod(obj)

    def validate_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """Allow images, some deadlines and more tolerations to change, nothing else."""
        return pod_update_validation.validate_update(new, old)

    def grace_period(self, obj: JsonObject, requested: int | None) -> int | None:
        """Return the grace asked for, else the pod's own; pods that run nowhere have none."""
        if not obj["spec"].get("nodeName") or obj.get("status", {}).get("phase") in FINISHED:
            return 0
        seconds: int = (
            obj["spec"].get("terminationGracePeriodSeconds", 30) if requested is None else requested
        )
        return 1 if seconds < 0 else seconds


class PodStatusRules(UpdateRules):
    """pods/status: what a kubelet writes; the spec and the owners stay."""

    restored = ("spec",)

    def prepare_update(self, new: JsonObject, old: JsonObject) -> None:
        """Put back what a status writer may not touch."""
        new["spec"] = old["spec"]
        references = old["metadata"].get("ownerReferences")
        if references is None:
            new["metadata"].pop("ownerReferences", None)
        else:
            new["metadata"]["ownerReferences"] = references
        status = new.setdefault("status", {})
        quality = old.get("status", {}).get("qosClass")
        if quality and not status.get("qosClass"):
            status["qosClass"] = quality

    def validate_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """Check addresses, conditions, and that ended containers stay ended."""
        return pod_status_validation.validate_status_update(new, old)


class EphemeralContainersRules(UpdateRules):
    """pods/ephemeralcontainers: more of them may come, none may change or go."""

    def prepare_update(self, new: JsonObject, old: JsonObject) -> None:
        """Put back all but the ephemeral containers."""
        wanted = new.get("spec", {}).get("ephemeralContainers")
        new["spec"] = {key: value for key, value in old["spec"].items() if key != "ephemeralContainers"}
        if wanted:
            new["spec"]["ephemeralContainers"] = wanted
        new["status"] = old.get("status", {})
        if new["spec"] != old["spec"]:
            new["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1

    def validate_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """Check what was added."""
        return pod_update_validation.validate_ephemeral(new, old)


class ResizeRules(UpdateRules):
    """pods/resize: the containers' cpu and memory."""

    def prepare_update(self, new: JsonObject, old: JsonObject) -> None:
        """Put back all but resources and resize policies."""
        pod_update_validation.keep_all_but_resources(new, old)
        if new["spec"] != old["spec"]:
            new["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1

    def validate_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """Check the new amounts, and that the quality-of-service class stays."""
        return pod_update_validation.validate_resize(new, old)
