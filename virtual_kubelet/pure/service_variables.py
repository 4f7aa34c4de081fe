"""The environment variables that tell a container of the cluster's services, as Docker's links once did."""

from __future__ import annotations

from collections.abc import Iterable

from virtual_kubelet.objects import Pod, Service, ServicePort

__all__ = ["MASTER_NAMESPACE", "service_namespaces", "service_variables"]

MASTER_NAMESPACE = "default"
_MASTER_SERVICE = "kubernetes"


def service_namespaces(pod: Pod) -> tuple[str, ...]:
    """Return the namespaces whose services a pod's environment is made from."""
    namespace = pod["metadata"]["namespace"]
    if namespace == MASTER_NAMESPACE or not _links(pod):
        return (MASTER_NAMESPACE,)
    return (MASTER_NAMESPACE, namespace)


def service_variables(pod: Pod, services: Iterable[Service]) -> dict[str, str]:
    """Return the variables of the services that the pod is told of.

    That is always `kubernetes` of namespace default, and the services of the pod's own namespace unless
    `enableServiceLinks` is false; one there that is named `kubernetes` wins over the first. Services without
    an address of their own (headless, external names) have no variables.

    Args:
        pod: whose namespace and `enableServiceLinks` count.
        services: those of `service_namespaces`; others are passed over.
    """
    chosen: dict[str, Service] = {}
    own = pod["metadata"]["namespace"]
    for service in services:
        metadata = service["metadata"]
        name, namespace = metadata["name"], metadata["namespace"]
        if service.get("spec", {}).get("clusterIP", "") in ("", "None"):
            continue
        if namespace == MASTER_NAMESPACE and name == _MASTER_SERVICE:
            chosen.setdefault(name, service)
        elif namespace == own and _links(pod):
            chosen[name] = service
    variables: dict[str, str] = {}
    for name in sorted(chosen):
        variables.update(_variables(chosen[name]))
    return variables


def _links(pod: Pod) -> bool:
    return pod["spec"].get("enableServiceLinks") is not False


def _variables(service: Service) -> dict[str, str]:
    prefix = _variable_name(service["metadata"]["name"])
    host = service["spec"]["clusterIP"]
    ports = service["spec"].get("ports") or []
    variables = {f"{prefix}_SERVICE_HOST": host}
    if not ports:
        return variables
    variables[f"{prefix}_SERVICE_PORT"] = str(ports[0]["port"])
    for port in ports:
        if port.get("name"):
            variables[f"{prefix}_SERVICE_PORT_{_variable_name(port['name'])}"] = str(port["port"])
    variables[f"{prefix}_PORT"] = _url(host, ports[0])
    for port in ports:
        stem = f"{prefix}_PORT_{port['port']}_{_protocol(port)}"
        variables[stem] = _url(host, port)
        variables[f"{stem}_PROTO"] = _protocol(port).lower()
        variables[f"{stem}_PORT"] = str(port["port"])
        variables[f"{stem}_ADDR"] = host
    return variables


def _url(host: str, port: ServicePort) -> str:
    shown = f"[{host}]" if ":" in host else host
    return f"{_protocol(port).lower()}://{shown}:{port['port']}"


def _protocol(port: ServicePort) -> str:
    return (port.get("protocol") or "TCP").upper()


def _variable_name(name: str) -> str:
    return name.replace("-", "_").upper()
