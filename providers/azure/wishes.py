"""What a pod's annotations ask of its container group. Pure.

The names are those that users of Azure's virtual nodes know: `microsoft.containerinstance.virtualnode.*` of the
current ones, `virtual-kubelet.io/*` and `virtualkubelet.io/*` of the older ones.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from virtual_kubelet import codec
from virtual_kubelet.errors import InvalidInput
from virtual_kubelet.objects import Pod

__all__ = ["Wishes", "read"]

NEW = "microsoft.containerinstance.virtualnode."
POLICY = f"{NEW}ccepolicy"
OLD_POLICY = "virtual-kubelet.io/confidential-compute-cce-policy"
CONTAINER_SKU = "virtual-kubelet.io/container-sku"
SUBNET = f"{NEW}subnets.primary"
IDENTITY = f"{NEW}identity"
ZONES = f"{NEW}zones"
TAGS = f"{NEW}customtags"
INJECT_DNS = f"{NEW}injectdns"
INJECT_KUBE_PROXY = f"{NEW}injectkubeproxy"
CMK = f"{NEW}cmk."
GPU_TYPE = "virtual-kubelet.io/gpu-type"
DNS_NAME_LABEL = "virtualkubelet.io/dnsnamelabel"
PRIORITY = "virtual-kubelet.io/priority"

_SKUS = ("Standard", "Dedicated", "Confidential")
_PRIORITIES = ("Regular", "Spot")
_ENCRYPTION = {
    "vaultbaseurl": "vaultBaseUrl",
    "keyname": "keyName",
    "keyversion": "keyVersion",
    "identity": "identity",
}
_RESOURCE_ID = re.compile(r"/subscriptions/[^/]+/resourceGroups/.+", re.IGNORECASE)


@dataclass(frozen=True)
class Wishes:
    """What one pod wants to be different; "" and empty mean: as the node's settings say."""

    sku: str = ""
    policy: str = ""
    subnet: str = ""
    identities: tuple[str, ...] = ()
    zones: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    cluster_dns: bool = True
    kube_proxy: bool = True
    encryption: Mapping[str, str] = field(default_factory=dict)
    gpu_type: str = ""
    dns_name_label: str = ""
    priority: str = ""

    @property
    def confidential(self) -> bool:
        """Whether it runs as a confidential container group."""
        return self.sku == "Confidential"


def read(pod: Pod) -> Wishes:
    """Return the wishes of a pod.

    Raises:
        InvalidInput: an annotation has a value that it cannot have; names it.
    """
    notes = _Notes(pod["metadata"].get("annotations") or {})
    policy = notes.text(POLICY) or notes.text(OLD_POLICY)
    return Wishes(
        sku=notes.one_of(CONTAINER_SKU, _SKUS) or ("Confidential" if policy else ""),
        policy=policy,
        subnet=notes.resource(SUBNET),
        identities=notes.resources(IDENTITY),
        zones=notes.words(ZONES),
        tags=notes.pairs(TAGS),
        cluster_dns=notes.switch(INJECT_DNS),
        kube_proxy=notes.switch(INJECT_KUBE_PROXY),
        encryption={name: text for key, name in _ENCRYPTION.items() if (text := notes.text(CMK + key))},
        gpu_type=notes.text(GPU_TYPE),
        dns_name_label=notes.text(DNS_NAME_LABEL),
        priority=notes.one_of(PRIORITY, _PRIORITIES),
    )


class _Notes:
    """Reads annotations by name."""

    def __init__(self, annotations: Mapping[str, str]) -> None:
        self._annotations = annotations

    def text(self, name: str) -> str:
        return (self._annotations.get(name) or "").strip()

    def words(self, name: str) -> tuple[str, ...]:
        return tuple(word for part in re.split("[;,]", self.text(name)) if (word := part.strip()))

    def switch(self, name: str) -> bool:
        word = self.text(name).lower()
        if word in {"", "true"}:
            return True
        if word == "false":
            return False
        raise _wrong(name, f'"{word}" is neither true nor false')

    def one_of(self, name: str, allowed: tuple[str, ...]) -> str:
        word = self.text(name)
        for item in allowed:
            if item.casefold() == word.casefold():
                return item
        if word:
            raise _wrong(name, f'"{word}" is not one of {", ".join(allowed)}')
        return ""

    def resource(self, name: str) -> str:
        word = self.text(name)
        if word and not _RESOURCE_ID.fullmatch(word):
            raise _wrong(name, f'"{word}" is not an Azure resource id (/subscriptions/...)')
        return word

    def resources(self, name: str) -> tuple[str, ...]:
        words = self.words(name)
        for word in words:
            if not _RESOURCE_ID.fullmatch(word) and word != "SystemAssigned":
                raise _wrong(name, f'"{word}" is neither an Azure resource id nor SystemAssigned')
        return words

    def pairs(self, name: str) -> Mapping[str, str]:
        """Read `name=value;name=value`, or a JSON object of strings."""
        text = self.text(name)
        if text.startswith("{"):
            try:
                document = codec.loads(text)
            except ValueError as error:
                raise _wrong(name, "not JSON") from error
            return {str(key): str(value) for key, value in document.items()}
        pairs = [word.partition("=") for word in self.words(name)]
        if any(not equals or not key.strip() for key, equals, _ in pairs):
            raise _wrong(name, f'"{text}" is not name=value;name=value')
        return {key.strip(): value.strip() for key, _, value in pairs}


def _wrong(name: str, complaint: str) -> InvalidInput:
    return InvalidInput(f"metadata.annotations[{name}]: {complaint}")
