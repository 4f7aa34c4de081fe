"""securityContext as the Engine API's fields. Pure.

What cannot be honoured is refused by name; nothing that would loosen a confinement is dropped in silence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from virtual_kubelet.errors import InvalidInput
from virtual_kubelet.objects import Container, JsonObject, Pod

__all__ = ["check", "host_config", "namespaced_sysctls", "user_of"]

SAFE_SYSCTLS = frozenset(
    {
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.ping_group_range",
        "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_rmem",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.tcp_wmem",
    }
)
NAMESPACED = ("net.", "fs.mqueue.", "kernel.shm", "kernel.msg", "kernel.sem")


def _settings(pod: Pod, container: Container) -> dict[str, object]:
    """Return the container's security context over the pod's."""
    pod_wide = pod["spec"].get("securityContext") or {}
    own = container.get("securityContext") or {}
    both = {**pod_wide, **{key: value for key, value in own.items() if value is not None}}
    return {key: value for key, value in both.items() if value is not None}


def check(pod: Pod, container: Container) -> None:
    """Raise `InvalidInput`, naming the field, for what an engine cannot do."""
    settings = _settings(pod, container)
    where = f'container "{container["name"]}"'
    if settings.get("windowsOptions"):
        raise InvalidInput(f"{where}: securityContext.windowsOptions on a Linux engine")
    if settings.get("procMount") not in {None, "Default", "Unmasked"}:
        raise InvalidInput(f"{where}: securityContext.procMount {settings['procMount']!r} is not known")
    if container.get("volumeDevices"):
        raise InvalidInput(f"{where}: volumeDevices are not supported")
    for field in ("seccompProfile", "appArmorProfile"):
        profile = settings.get(field)
        if isinstance(profile, Mapping) and profile.get("type") not in {
            "RuntimeDefault",
            "Unconfined",
            "Localhost",
        }:
            raise InvalidInput(f"{where}: securityContext.{field}.type {profile.get('type')!r} is not known")


def namespaced_sysctls(pod: Pod, unsafe: tuple[str, ...] = ()) -> dict[str, str]:
    """Return the pod's sysctls; raise `InvalidInput` for one that is not safe, nor allowed by `unsafe`.

    `unsafe` holds names, or prefixes that end in `*`, as the kubelet's --allowed-unsafe-sysctls.
    """
    found: dict[str, str] = {}
    for item in (pod["spec"].get("securityContext") or {}).get("sysctls") or ():
        name = str(item["name"]).replace("/", ".")
        allowed = name in SAFE_SYSCTLS or any(_matches(name, pattern) for pattern in unsafe)
        if not name.startswith(NAMESPACED) or not allowed:
            raise InvalidInput(f'forbidden sysctl: "{name}" not allowlisted (SysctlForbidden)')
        if name.startswith("net.") and pod["spec"].get("hostNetwork"):
            raise InvalidInput(
                f'forbidden sysctl: "{name}" not allowed with host net enabled (SysctlForbidden)'
            )
        found[name] = str(item["value"])
    return found


def _matches(name: str, pattern: str) -> bool:
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern


def user_of(pod: Pod, container: Container, image_user: str) -> str:
    """Return `User` as the API has it, "" for the image's own; raise `InvalidInput` where runAsNonRoot forbids it."""
    settings = _settings(pod, container)
    user, group = settings.get("runAsUser"), settings.get("runAsGroup")
    if settings.get("runAsNonRoot"):
        _check_not_root(user, image_user)
    if user is None and group is None:
        return ""
    own = str(user) if user is not None else (image_user.partition(":")[0] or "0")
    return f"{own}:{group}" if group is not None else own


def _check_not_root(user: object, image_user: str) -> None:
    if user is not None:
        if user == 0:
            raise InvalidInput("container's runAsUser breaks non-root policy")
        return
    name = image_user.partition(":")[0]
    if name in {"", "0", "root"}:
        raise InvalidInput("container has runAsNonRoot and image will run as root")
    if not name.isdigit():
        raise InvalidInput(
            f"container has runAsNonRoot and image has non-numeric user ({name}), cannot verify user is non-root"
        )


def host_config(pod: Pod, container: Container, read_profile: Callable[[str], str]) -> JsonObject:
    """Return the security fields of `HostConfig`; `read_profile` gives the text of a Localhost seccomp profile."""
    settings = _settings(pod, container)
    capabilities = settings.get("capabilities")
    config: JsonObject = {}
    if isinstance(capabilities, Mapping):
        config["CapAdd"] = list(capabilities.get("add") or ())
        config["CapDrop"] = list(capabilities.get("drop") or ())
    if settings.get("privileged"):
        config["Privileged"] = True
    if settings.get("readOnlyRootFilesystem"):
        config["ReadonlyRootfs"] = True
    if settings.get("procMount") == "Unmasked":
        config["MaskedPaths"], config["ReadonlyPaths"] = [], []
    groups = _groups(settings)
    if groups:
        config["GroupAdd"] = groups
    options = _options(settings, read_profile)
    if options:
        config["SecurityOpt"] = options
    return config


def _groups(settings: Mapping[str, object]) -> list[str]:
    more = settings.get("supplementalGroups")
    groups = [*(more if isinstance(more, list) else ()), settings.get("fsGroup")]
    return list(dict.fromkeys(str(group) for group in groups if group is not None))


def _options(settings: Mapping[str, object], read_profile: Callable[[str], str]) -> list[str]:
    options: list[str] = []
    if settings.get("allowPrivilegeEscalation") is False and not settings.get("privileged"):
        options.append("no-new-privileges")
    seccomp, apparmor = settings.get("seccompProfile"), settings.get("appArmorProfile")
    if isinstance(seccomp, Mapping) and not settings.get("privileged"):
        options += _profile("seccomp", seccomp, read_profile)
    if isinstance(apparmor, Mapping):
        options += _profile("apparmor", apparmor, lambda name: name)
    selinux = settings.get("seLinuxOptions")
    if isinstance(selinux, Mapping):
        options += [f"label={key}:{value}" for key, value in selinux.items() if value]
    return options


def _profile(name: str, profile: Mapping[str, object], read: Callable[[str], str]) -> list[str]:
    if profile.get("type") == "Unconfined":
        return [f"{name}=unconfined"]
    if profile.get("type") == "Localhost":
        return [f"{name}={read(str(profile.get('localhostProfile') or ''))}"]
    return []  # the engine's own
