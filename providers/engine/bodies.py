"""A pod's containers as what `POST /containers/create` takes. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from virtual_kubelet.errors import InvalidInput
from virtual_kubelet.objects import Container, JsonObject, Pod
from virtual_kubelet.podruntime.driver import ContainerRequest, Mount
from virtual_kubelet.providers.engine import dns, labels, limits, security

__all__ = ["ContainerFacts", "InfraFacts", "bind_mount", "container_body", "infra_body", "ports_of"]

TERMINATION_LOG = "/dev/termination-log"
HOSTS = "/etc/hosts"
PROPAGATION = {"HostToContainer": "rslave", "Bidirectional": "rshared"}


@dataclass(frozen=True)
class InfraFacts:
    """What the container that holds a pod's namespaces is made from, beside the pod."""

    image: str
    command: tuple[str, ...]
    labels: Mapping[str, str]
    dns: dns.Dns
    domain: str
    network: str  # "" for the engine's default
    sysctls: Mapping[str, str]
    least_oom_score: int = -1000


@dataclass(frozen=True)
class ContainerFacts:
    """What a container is made from, beside its request."""

    image_user: str
    memory_of_node: int
    least_oom_score: int
    log_config: JsonObject
    namespaces: JsonObject  # fields of HostConfig that put it into its pod
    mounts: Sequence[JsonObject]
    hostname: str = ""  # where the engine does not take it from the pod's namespaces
    read_profile: Callable[[str], str] = str


def infra_body(pod: Pod, facts: InfraFacts) -> JsonObject:
    """Return the container that carries a pod's network, IPC and what belongs to them."""
    spec = pod["spec"]
    on_host = bool(spec.get("hostNetwork"))
    host: JsonObject = {
        "NetworkMode": "host" if on_host else (facts.network or "bridge"),
        "IpcMode": "host" if spec.get("hostIPC") else "shareable",
        "OomScoreAdj": max(limits.INFRA_OOM_SCORE, facts.least_oom_score),
        "CpuShares": limits.LEAST_SHARES,
        "SecurityOpt": ["no-new-privileges"],
        "ReadonlyRootfs": True,
        "LogConfig": {"Type": "none"},
        "RestartPolicy": {"Name": "no"},
    }
    if spec.get("hostPID"):
        host["PidMode"] = "host"
    if facts.sysctls:
        host["Sysctls"] = dict(facts.sysctls)
    body: JsonObject = {"Image": facts.image, "Labels": dict(facts.labels), "HostConfig": host}
    if facts.command:
        body["Entrypoint"], body["Cmd"] = [facts.command[0]], list(facts.command[1:])
    host.update(
        Dns=list(facts.dns.servers), DnsSearch=list(facts.dns.search), DnsOptions=list(facts.dns.options)
    )
    if not on_host:
        body["Hostname"] = dns.hostname(pod)
        if parent := dns.subdomain(pod, facts.domain):
            body["Domainname"] = parent
        host["ExtraHosts"] = dns.extra_hosts(pod)
        body["ExposedPorts"], host["PortBindings"] = ports_of(pod)
    return body


def ports_of(pod: Pod) -> tuple[JsonObject, JsonObject]:
    """Return ExposedPorts and PortBindings: bound is what asks for a hostPort."""
    exposed: JsonObject = {}
    bindings: JsonObject = {}
    containers = (*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"])
    for port in (port for container in containers for port in container.get("ports") or ()):
        name = f"{port['containerPort']}/{(port.get('protocol') or 'TCP').lower()}"
        exposed[name] = {}
        if port.get("hostPort"):
            binding = {"HostIp": port.get("hostIP") or "", "HostPort": str(port["hostPort"])}
            bindings.setdefault(name, []).append(binding)
    return exposed, bindings


def container_body(request: ContainerRequest, facts: ContainerFacts) -> JsonObject:
    """Return one container of a pod."""
    pod, container = request.pod, request.container
    host: JsonObject = {
        **facts.namespaces,
        **limits.host_config(pod, container, facts.memory_of_node, facts.least_oom_score),
        **security.host_config(pod, container, facts.read_profile),
        "RestartPolicy": {"Name": "no"},
        "Mounts": list(facts.mounts),
    }
    if facts.log_config:
        host["LogConfig"] = facts.log_config
    body: JsonObject = {
        "Image": request.image_id or request.image,
        "Env": [f"{name}={value}" for name, value in request.environment.items()],
        "Labels": labels.of_container(request.labels),
        "Tty": bool(container.get("tty")),
        "OpenStdin": bool(container.get("stdin")),
        "StdinOnce": bool(container.get("stdinOnce")),
        "HostConfig": host,
        "Healthcheck": {"Test": ["NONE"]},  # probes are the runtime's
    }
    if request.command:
        body["Entrypoint"] = list(request.command)
        body["Cmd"] = list(request.args)
    elif request.args:
        body["Cmd"] = list(request.args)
    if container.get("workingDir"):
        body["WorkingDir"] = container["workingDir"]
    user = security.user_of(pod, container, facts.image_user)
    if user:
        body["User"] = user
    if facts.hostname:
        body["Hostname"] = facts.hostname
    return body


def bind_mount(mount: Mount, container: Container) -> JsonObject:
    """Return a bind of something of this machine."""
    if not mount.target.startswith("/"):
        raise InvalidInput(
            f'volumeMount "{mount.name}": mountPath "{mount.target}" must be absolute in a container'
        )
    wanted = next(
        (item for item in container.get("volumeMounts") or () if item.get("mountPath") == mount.target), {}
    )
    propagation = PROPAGATION.get(str(wanted.get("mountPropagation")), "rprivate")
    return {
        "Type": "bind",
        "Source": mount.source,
        "Target": mount.target,
        "ReadOnly": mount.read_only,
        "BindOptions": {"Propagation": propagation},
    }
