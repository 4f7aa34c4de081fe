"""Discovery: the list of all kinds, in the aggregated form (apidiscovery.k8s.io/v2) and in the old one."""

from __future__ import annotations

from virtual_kubelet.devapi.registry.kinds import Kind, Kinds, Subresource
from virtual_kubelet.objects import JsonObject

__all__ = ["aggregated", "aggregated_version", "legacy"]

VERSIONS = ("v2", "v2beta1")


def aggregated_version(accept: str) -> str:
    """Return the aggregated form's version that a client accepts, "" where it wants the old form."""
    for wanted in accept.split(","):
        parameters = {part.strip() for part in wanted.split(";")[1:]}
        if "as=APIGroupDiscoveryList" in parameters and "g=apidiscovery.k8s.io" in parameters:
            for version in VERSIONS:
                if f"v={version}" in parameters:
                    return version
    return ""


def aggregated(kinds: Kinds, version: str, *, core: bool) -> JsonObject:
    """Return the APIGroupDiscoveryList of /api (`core`) or /apis."""
    items = []
    for group, versions in kinds.groups().items():
        if bool(group) == core:
            continue
        entries = [
            {
                "version": each,
                "resources": [_discovered(kind) for kind in kinds.of_version(group, each)],
                "freshness": "Current",
            }
            for each in versions
        ]
        items.append({"metadata": {"name": group} if group else {}, "versions": entries})
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": f"apidiscovery.k8s.io/{version}",
        "metadata": {},
        "items": items,
    }


def _discovered(kind: Kind) -> JsonObject:
    resource: JsonObject = {
        "resource": kind.plural,
        "responseKind": {"group": kind.group, "version": kind.version, "kind": kind.kind},
        "scope": "Namespaced" if kind.namespaced else "Cluster",
        "singularResource": kind.singular,
        "verbs": list(kind.verbs),
    }
    if kind.short_names:
        resource["shortNames"] = list(kind.short_names)
    if kind.categories:
        resource["categories"] = list(kind.categories)
    if kind.subresources:
        resource["subresources"] = [
            {
                "subresource": each.name,
                "responseKind": _response_kind(kind, each),
                "verbs": list(each.verbs),
            }
            for each in kind.subresources
        ]
    return resource


def _response_kind(kind: Kind, subresource: Subresource) -> JsonObject:
    if subresource.kind:
        return {
            "group": subresource.group or kind.group,
            "version": subresource.version or kind.version,
            "kind": subresource.kind,
        }
    return {"group": kind.group, "version": kind.version, "kind": kind.kind}


def legacy(kinds: Kinds, path: str) -> JsonObject | None:
    """Return the old form's document at a path, or None where there is none."""
    parts = path.strip("/").split("/")
    groups = kinds.groups()
    if parts == ["api"]:
        return {"kind": "APIVersions", "versions": groups[""], "serverAddressByClientCIDRs": []}
    if parts == ["apis"]:
        every = [_group(group, versions) for group, versions in groups.items() if group]
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": every}
    if len(parts) == 2 and parts[0] == "api":
        return _resources(kinds, "", parts[1])
    if len(parts) == 2 and parts[0] == "apis" and parts[1] in groups:
        return {"kind": "APIGroup", "apiVersion": "v1", **_group(parts[1], groups[parts[1]])}
    if len(parts) == 3 and parts[0] == "apis":
        return _resources(kinds, parts[1], parts[2])
    return None


def _group(group: str, versions: list[str]) -> JsonObject:
    listed = [{"groupVersion": f"{group}/{version}", "version": version} for version in versions]
    return {"name": group, "versions": listed, "preferredVersion": listed[0]}


def _resources(kinds: Kinds, group: str, version: str) -> JsonObject | None:
    found = kinds.of_version(group, version)
    if not found:
        return None
    resources = []
    for kind in found:
        resources.append(_listed(kind))
        resources += [_listed_subresource(kind, each) for each in kind.subresources]
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": found[0].api_version,
        "resources": resources,
    }


def _listed(kind: Kind) -> JsonObject:
    resource: JsonObject = {
        "name": kind.plural,
        "singularName": kind.singular,
        "namespaced": kind.namespaced,
        "kind": kind.kind,
        "verbs": list(kind.verbs),
    }
    if kind.short_names:
        resource["shortNames"] = list(kind.short_names)
    if kind.categories:
        resource["categories"] = list(kind.categories)
    return resource


def _listed_subresource(kind: Kind, subresource: Subresource) -> JsonObject:
    resource: JsonObject = {
        "name": f"{kind.plural}/{subresource.name}",
        "singularName": "",
        "namespaced": kind.namespaced,
        "kind": subresource.kind or kind.kind,
        "verbs": list(subresource.verbs),
    }
    if subresource.group:
        resource["group"] = subresource.group
        resource["version"] = subresource.version
    return resource
