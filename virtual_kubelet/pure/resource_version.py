"""Which of two states of an object is the newer one."""

from __future__ import annotations

__all__ = ["newer"]


def newer(version: str, than: str) -> bool:
    """Tell whether one `metadata.resourceVersion` comes after another one of the same resource.

    Since Kubernetes 1.35 they are documented to be comparable integers, and they always were on etcd. Of
    others only equality is known: then any other version counts as newer.
    """
    if version.isdecimal() and than.isdecimal():
        return int(version) > int(than)
    return version != than
