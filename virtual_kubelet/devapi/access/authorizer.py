"""The chain of authorizers: masters, nodes, RBAC."""

from __future__ import annotations

from virtual_kubelet.devapi import failures
from virtual_kubelet.devapi.access import rbac
from virtual_kubelet.devapi.access.attributes import Attributes
from virtual_kubelet.devapi.access.node_authorizer import node_allows, node_name
from virtual_kubelet.devapi.identity import MASTERS
from virtual_kubelet.devapi.storage.memory import MemoryStorage

__all__ = ["Authorizer"]


class Authorizer:
    """Answers what a user may do, from the objects in the storage."""

    def __init__(self, storage: MemoryStorage) -> None:
        self._storage = storage

    def allows(self, asked: Attributes) -> bool:
        """Tell whether it is allowed."""
        if MASTERS in asked.user.groups:
            return True
        node = node_name(asked.user)
        if node and node_allows(self._storage, node, asked):
            return True
        rules = rbac.rules_for(self._storage, asked.user, asked.namespace)
        return any(rbac.allows(rule, asked) for rule in rules)

    def check(self, asked: Attributes) -> None:
        """Raise `ApiError` 403 unless it is allowed."""
        if not self.allows(asked):
            details = {"name": asked.name, "group": asked.group, "kind": asked.resource}
            raise failures.forbidden(
                asked.refusal(), details={key: value for key, value in details.items() if value}
            )
