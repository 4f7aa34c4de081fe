"""What a mock container shows: its status, its log, its use of the machine. Pure."""

from __future__ import annotations

from virtual_kubelet.objects import Container, ContainerState, ContainerStatus, JsonObject, Pod, PodStatus
from virtual_kubelet.pure import times

__all__ = ["deleted_status", "find", "first_lines", "pod_ip", "pod_number", "running_status", "summary"]

CPU_NANOCORES = 10_000_000  # each mock container "uses" ten millicores
MEMORY_BYTES = 32 * 1024 * 1024
IP_SPACE = 1 << 16  # 10.88.0.0/16


def pod_ip(number: int) -> str:
    """Return the address of the pod that is the `number`th of its node."""
    high, low = divmod(1 + number % (IP_SPACE - 2), 256)
    return f"10.88.{high}.{low}"


def pod_number(ip: str) -> int:
    """Return the number of the pod that has this address, of `pod_ip`."""
    high, low = ip.split(".")[2:]
    return int(high) * 256 + int(low) - 1


def running_status(pod: Pod, ip: str, now: float) -> PodStatus:
    """Return the status of a pod whose containers all run, init containers being done."""
    at = times.rfc3339(now)
    done: ContainerState = {
        "terminated": {"exitCode": 0, "reason": "Completed", "startedAt": at, "finishedAt": at}
    }
    running: ContainerState = {"running": {"startedAt": at}}
    spec, uid = pod["spec"], pod["metadata"]["uid"]
    status: PodStatus = {
        "phase": "Running",
        "podIP": ip,
        "podIPs": [{"ip": ip}],
        "startTime": at,
        "containerStatuses": [_container_status(item, running, uid) for item in spec["containers"]],
    }
    if spec.get("initContainers"):
        status["initContainerStatuses"] = [
            _container_status(item, running if item.get("restartPolicy") == "Always" else done, uid)
            for item in spec["initContainers"]
        ]
    if spec.get("ephemeralContainers"):
        status["ephemeralContainerStatuses"] = [
            _container_status(item, running, uid) for item in spec["ephemeralContainers"]
        ]
    return status


def deleted_status(status: PodStatus, now: float) -> PodStatus:
    """Return `status` after the pod's deletion: what ran has ended well, for reasons named as upstream's."""
    at = times.rfc3339(now)
    gone: PodStatus = {**status, "phase": "Succeeded", "reason": "MockProviderPodDeleted"}
    gone["containerStatuses"] = [_ended(item, at) for item in status.get("containerStatuses", [])]
    if "initContainerStatuses" in status:
        gone["initContainerStatuses"] = [_ended(item, at) for item in status["initContainerStatuses"]]
    return gone


def _container_status(container: Container, state: ContainerState, uid: str) -> ContainerStatus:
    name, image = container["name"], container.get("image", "")
    ready = "running" in state or state.get("terminated", {}).get("exitCode") == 0
    return {
        "name": name,
        "image": image,
        "imageID": f"mock://{image}",
        "containerID": f"mock://{uid}/{name}",
        "ready": ready,
        "started": "running" in state,
        "restartCount": 0,
        "state": state,
    }


def _ended(status: ContainerStatus, at: str) -> ContainerStatus:
    running = status["state"].get("running")
    if running is None:
        return status
    return {
        **status,
        "ready": False,
        "started": False,
        "state": {
            "terminated": {
                "exitCode": 0,
                "reason": "MockProviderPodContainerDeleted",
                "message": "Mock provider terminated container upon deletion",
                "startedAt": running.get("startedAt", at),
                "finishedAt": at,
                "containerID": status.get("containerID", ""),
            }
        },
    }


def find(pod: Pod, name: str) -> Container | None:
    """Return the container `name` of a pod, of any kind."""
    spec = pod["spec"]
    everything = [*spec["containers"], *spec.get("initContainers", []), *spec.get("ephemeralContainers", [])]
    return next((item for item in everything if item["name"] == name), None)


def first_lines(container: Container) -> list[str]:
    """Return what a container writes when it starts."""
    command = [*container.get("command", []), *container.get("args", [])]
    return [
        f"mock container {container['name']} started",
        f"image: {container.get('image', '')}",
        f"command: {command}",
    ]


def summary(pods: list[Pod], now: float) -> JsonObject:
    """Return the kubelet's `stats/v1alpha1.Summary` of `pods`: an even, made-up load that grows with time."""
    at = times.rfc3339(now)
    entries = [_pod_stats(pod, now, at) for pod in pods]
    return {
        "node": {
            "startTime": at,
            "cpu": _sum(entries, "cpu", ("usageNanoCores", "usageCoreNanoSeconds"), at),
            "memory": _sum(entries, "memory", ("usageBytes", "workingSetBytes", "rssBytes"), at),
        },
        "pods": entries,
    }


def _pod_stats(pod: Pod, now: float, at: str) -> JsonObject:
    status, metadata = pod.get("status", {}), pod["metadata"]
    started = status.get("startTime", at)
    seconds = max(0.0, now - times.parse(started))
    containers = [
        {
            "name": container["name"],
            "startTime": started,
            "cpu": _cpu(1, seconds, at),
            "memory": _memory(1, at),
        }
        for container in pod["spec"]["containers"]
    ]
    return {
        "podRef": {"name": metadata["name"], "namespace": metadata["namespace"], "uid": metadata["uid"]},
        "startTime": started,
        "containers": containers,
        "cpu": _cpu(len(containers), seconds, at),
        "memory": _memory(len(containers), at),
    }


def _cpu(containers: int, seconds: float, at: str) -> JsonObject:
    cores = CPU_NANOCORES * containers
    return {"time": at, "usageNanoCores": cores, "usageCoreNanoSeconds": int(cores * seconds)}


def _memory(containers: int, at: str) -> JsonObject:
    used = MEMORY_BYTES * containers
    return {"time": at, "usageBytes": used, "workingSetBytes": used, "rssBytes": used}


def _sum(entries: list[JsonObject], what: str, fields: tuple[str, ...], at: str) -> JsonObject:
    return {"time": at, **{field: sum(entry[what][field] for entry in entries) for field in fields}}
