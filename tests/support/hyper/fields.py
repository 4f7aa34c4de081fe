"""Which fields and parameters API 1.23 knows, from the service's own documents; the fake refuses all others."""

from __future__ import annotations


def _words(text):
    return frozenset(text.split())


CONFIG = _words(
    "Hostname Domainname User AttachStdin AttachStdout AttachStderr Tty OpenStdin StdinOnce Env Cmd Entrypoint Image"
    " Labels Volumes WorkingDir NetworkDisabled MacAddress ExposedPorts StopSignal HostConfig NetworkingConfig"
)
HOST_CONFIG = _words(
    "Binds Links Memory MemorySwap MemoryReservation KernelMemory CpuShares CpuPeriod CpuQuota CpusetCpus CpusetMems"
    " BlkioWeight MemorySwappiness OomKillDisable OomScoreAdj PortBindings PublishAllPorts Privileged ReadonlyRootfs"
    " Dns DnsOptions DnsSearch ExtraHosts VolumesFrom CapAdd CapDrop GroupAdd RestartPolicy NetworkMode Devices Ulimits"
    " LogConfig SecurityOpt CgroupParent VolumeDriver ShmSize"
)
EXEC = _words("AttachStdin AttachStdout AttachStderr DetachKeys Tty Cmd")
VOLUME = _words("Name Driver DriverOpts")
QUERIES = {
    "list": {"all", "filters", "limit", "size", "since", "before"},
    "create": {"name"},
    "logs": {"follow", "stdout", "stderr", "since", "timestamps", "tail"},
    "start": {"checkpoint"},
    "kill": {"signal"},
    "remove": {"v", "force"},
    "attach": {"detachKeys", "logs", "stream", "stdin", "stdout", "stderr"},
    "stats": {"stream"},
    "pull": {"fromImage", "tag"},
    "resize": {"h", "w"},
}
