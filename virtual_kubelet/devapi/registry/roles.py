"""RBAC objects: their names may hold colons, and a binding keeps its role."""

from __future__ import annotations

from virtual_kubelet.devapi.failures import FieldError
from virtual_kubelet.devapi.registry.strategy import Strategy
from virtual_kubelet.objects import JsonObject

__all__ = ["RoleStrategy"]


def _any_segment(name: str) -> list[str]:
    """Allow what is one segment of a path; `metadata.validate` checks that."""
    return [] if name else ["must be non-empty"]


class RoleStrategy(Strategy):
    """Roles, ClusterRoles and their bindings."""

    create_on_update = True
    name_rule = staticmethod(_any_segment)

    def validate_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """A binding to another role is another binding."""
        if "roleRef" in old and new.get("roleRef") != old["roleRef"]:
            return [FieldError.invalid("roleRef", new.get("roleRef"), "cannot change roleRef")]
        return []
