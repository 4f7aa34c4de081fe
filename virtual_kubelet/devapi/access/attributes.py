"""What an authorizer is asked."""

from __future__ import annotations

from dataclasses import dataclass

from virtual_kubelet.devapi.http.request_info import RequestInfo
from virtual_kubelet.devapi.identity import User
from virtual_kubelet.devapi.verbs.options import Query, first
from virtual_kubelet.objects import JsonObject

__all__ = ["Attributes"]


@dataclass(frozen=True)
class Attributes:
    """One question: may this user do that? `path` counts only where there is no resource."""

    user: User
    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""
    field_selector: str = ""

    @classmethod
    def of_request(cls, user: User, info: RequestInfo, query: Query) -> Attributes:
        """Ask for a request. exec, attach and port-forward by GET (WebSocket) need `create` as by POST."""
        if not info.is_resource:
            return cls(user, info.verb, path=info.path)
        connects = info.resource == "pods" and info.subresource in {"exec", "attach", "portforward"}
        return cls(
            user,
            "create" if connects else info.verb,
            info.group,
            info.resource,
            info.subresource,
            info.namespace,
            info.name,
            field_selector=first(query, "fieldSelector"),
        )

    @classmethod
    def of_review(cls, user: User, spec: JsonObject, namespace: str = "") -> Attributes:
        """Ask for the `spec` of an access review."""
        resource = spec.get("resourceAttributes")
        if resource is None:
            other = spec.get("nonResourceAttributes") or {}
            return cls(user, other.get("verb", ""), path=other.get("path", ""))
        selector = (resource.get("fieldSelector") or {}).get("rawSelector", "")
        return cls(
            user,
            resource.get("verb", ""),
            resource.get("group", ""),
            resource.get("resource", ""),
            resource.get("subresource", ""),
            namespace or resource.get("namespace", ""),
            resource.get("name", ""),
            field_selector=selector,
        )

    @property
    def full_resource(self) -> str:
        """The resource with its subresource, as RBAC rules name it: `pods/status`."""
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource

    def refusal(self) -> str:
        """Return the sentence with which a request is refused."""
        name = self.user.name
        if not self.resource:
            return f'forbidden: User "{name}" cannot {self.verb} path "{self.path}"'
        object_ = f'"{self.name}" ' if self.name else ""
        kind = f"{self.resource}.{self.group}" if self.group else self.resource
        scope = f'in the namespace "{self.namespace}"' if self.namespace else "at the cluster scope"
        return (
            f'{kind} {object_}is forbidden: User "{name}" cannot {self.verb} resource "{self.full_resource}" '
            f'in API group "{self.group}" {scope}'
        )
