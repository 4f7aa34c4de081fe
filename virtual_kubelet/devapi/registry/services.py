"""Services: a name, a virtual address and ports. Nothing routes to them here, but pods get their variables."""

from __future__ import annotations

from virtual_kubelet.devapi.failures import FieldError
from virtual_kubelet.devapi.registry.container_validation import validate_port_number
from virtual_kubelet.devapi.registry.strategy import Strategy
from virtual_kubelet.objects import JsonObject
from virtual_kubelet.pure import names

__all__ = ["ServiceStrategy"]

TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
PROTOCOLS = ("SCTP", "TCP", "UDP")


class ServiceStrategy(Strategy):
    """The main resource; its address is given by admission, which knows which are taken."""

    has_status = True
    returns_deleted = True
    create_on_update = True
    name_rule = staticmethod(names.service_name)

    def default(self, obj: JsonObject) -> None:
        """Fill in type, protocols and target ports."""
        spec = obj.setdefault("spec", {})
        spec.setdefault("type", "ClusterIP")
        spec.setdefault("sessionAffinity", "None")
        obj.setdefault("status", {}).setdefault("loadBalancer", {})
        if spec["type"] == "ExternalName":
            return
        spec.setdefault("internalTrafficPolicy", "Cluster")
        spec.setdefault("ipFamilyPolicy", "SingleStack")
        spec.setdefault("ipFamilies", ["IPv4"])
        for port in spec.get("ports") or ():
            port.setdefault("protocol", "TCP")
            if port.get("targetPort") in {None, 0, ""}:
                port["targetPort"] = port.get("port", 0)

    def prepare_create(self, obj: JsonObject) -> None:
        """Begin with no load balancer."""
        obj["status"] = {"loadBalancer": {}}

    def prepare_update(self, new: JsonObject, old: JsonObject) -> None:
        """Keep the status, and the address where the update leaves it out."""
        super().prepare_update(new, old)
        held = old.get("spec", {})
        if new["spec"].get("type") != "ExternalName":
            for field in ("clusterIP", "clusterIPs"):
                if field in held:
                    new["spec"].setdefault(field, held[field])

    def validate(self, obj: JsonObject) -> list[FieldError]:
        """Check type and ports."""
        spec = obj.get("spec") or {}
        found = []
        if spec.get("type") not in TYPES:
            found.append(FieldError.not_supported("spec.type", spec.get("type"), TYPES))
        if spec.get("type") == "ExternalName" and not spec.get("externalName"):
            found.append(FieldError.required("spec.externalName"))
        ports = spec.get("ports") or ()
        headless = spec.get("clusterIP") == "None"
        if not ports and not headless and spec.get("type") != "ExternalName":
            found.append(FieldError.required("spec.ports"))
        seen = set()
        for index, port in enumerate(ports):
            path = f"spec.ports[{index}]"
            found += validate_port_number(port.get("port"), f"{path}.port")
            if port.get("protocol") not in PROTOCOLS:
                found.append(FieldError.not_supported(f"{path}.protocol", port.get("protocol"), PROTOCOLS))
            if len(ports) > 1 and not port.get("name"):
                found.append(FieldError.required(f"{path}.name"))
            if port.get("name") in seen:
                found.append(FieldError.duplicate(f"{path}.name", port.get("name")))
            seen.add(port.get("name"))
        return found

    def validate_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """Keep the address."""
        found = self.validate(new)
        before, now = old.get("spec", {}).get("clusterIP"), new["spec"].get("clusterIP")
        if (
            before
            and now != before
            and "ExternalName" not in {new["spec"].get("type"), old["spec"].get("type")}
        ):
            found.append(FieldError.invalid("spec.clusterIPs[0]", now, "may not change once set"))
        return found
