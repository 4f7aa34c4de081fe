"""Defaults of a pod's spec, as decoding `core/v1` fills them in (Kubernetes v1.36)."""

from __future__ import annotations

from collections.abc import Iterator

from virtual_kubelet.objects import JsonObject

__all__ = ["containers_of", "default_pod"]

FILE_MODE = 0o644
TOKEN_SECONDS = 3600
PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
SOURCES_WITH_MODE = ("secret", "configMap", "downwardAPI", "projected")


def containers_of(spec: JsonObject, *, ephemeral: bool = True) -> Iterator[tuple[str, JsonObject]]:
    """Go through a pod's containers, each with its field path, init containers first."""
    lists = (
        ("initContainers", "containers", "ephemeralContainers")
        if ephemeral
        else ("initContainers", "containers")
    )
    for field in lists:
        for index, container in enumerate(spec.get(field) or ()):
            yield f"spec.{field}[{index}]", container


def default_pod(pod: JsonObject) -> None:
    """Fill in what the pod's spec leaves open."""
    spec = pod.get("spec")
    if spec is None:
        return
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("terminationGracePeriodSeconds", 30)
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("securityContext", {})
    spec.setdefault("schedulerName", "default-scheduler")
    spec.setdefault("enableServiceLinks", True)
    _mirror_service_account(spec)
    for _, container in containers_of(spec):
        _default_container(container)
        if spec.get("hostNetwork"):
            for port in container.get("ports", ()):
                if "containerPort" in port:
                    port.setdefault("hostPort", port["containerPort"])
    for volume in spec.get("volumes") or ():
        _default_volume(volume)


def _mirror_service_account(spec: JsonObject) -> None:
    """`serviceAccount` is the old name of the field; both are always there, the new one wins."""
    name = spec.get("serviceAccountName") or spec.get("serviceAccount")
    if name:
        spec["serviceAccountName"] = spec["serviceAccount"] = name


def _default_container(container: JsonObject) -> None:
    container.setdefault("terminationMessagePath", "/dev/termination-log")
    container.setdefault("terminationMessagePolicy", "File")
    image = container.get("image")
    if image:
        container.setdefault("imagePullPolicy", _pull_policy(image))
    resources = container.setdefault("resources", {})
    limits = resources.get("limits")
    if limits:
        requests = resources.setdefault("requests", {})
        for name, quantity in limits.items():
            requests.setdefault(name, quantity)
    for port in container.get("ports") or ():
        port.setdefault("protocol", "TCP")
    for variable in container.get("env") or ():
        _default_field_ref(variable.get("valueFrom") or {})
    for field in PROBES:
        if field in container:
            _default_probe(container[field])
    for hook in (container.get("lifecycle") or {}).values():
        if isinstance(hook, dict) and "httpGet" in hook:
            _default_http_get(hook["httpGet"])


def _pull_policy(image: str) -> str:
    """Return Always for the tag latest, said or implied, and IfNotPresent for any other tag or a digest."""
    name, _, digest = image.partition("@")
    if digest:
        return "IfNotPresent"
    tag = name.rpartition("/")[2].partition(":")[2]
    return "Always" if tag in {"", "latest"} else "IfNotPresent"


def _default_probe(probe: JsonObject) -> None:
    probe.setdefault("timeoutSeconds", 1)
    probe.setdefault("periodSeconds", 10)
    probe.setdefault("successThreshold", 1)
    probe.setdefault("failureThreshold", 3)
    if "httpGet" in probe:
        _default_http_get(probe["httpGet"])
    if "grpc" in probe:
        probe["grpc"].setdefault("service", "")


def _default_http_get(action: JsonObject) -> None:
    action.setdefault("path", "/")
    action.setdefault("scheme", "HTTP")


def _default_field_ref(source: JsonObject) -> None:
    if "fieldRef" in source:
        source["fieldRef"].setdefault("apiVersion", "v1")
    if "resourceFieldRef" in source:
        source["resourceFieldRef"].setdefault("divisor", "0")


def _default_volume(volume: JsonObject) -> None:
    if len(volume) <= 1:
        volume["emptyDir"] = {}  # a volume of no type is an empty directory
    for source in SOURCES_WITH_MODE:
        if source in volume:
            volume[source].setdefault("defaultMode", FILE_MODE)
    if "hostPath" in volume:
        volume["hostPath"].setdefault("type", "")
    for item in (volume.get("downwardAPI") or {}).get("items") or ():
        _default_field_ref(item)
    for source in (volume.get("projected") or {}).get("sources") or ():
        if "serviceAccountToken" in source:
            source["serviceAccountToken"].setdefault("expirationSeconds", TOKEN_SECONDS)
        for item in (source.get("downwardAPI") or {}).get("items") or ():
            _default_field_ref(item)
