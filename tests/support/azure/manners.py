"""Another way in which Resource Manager may write the same container group; all of it is allowed.

Names of tags have no case and ids neither, what is not there is null or missing, times have seven digits and an
offset, and there is more than any client knows.
"""

from __future__ import annotations

from virtual_kubelet import codec

ABSENT = ("command", "ports", "livenessProbe", "readinessProbe", "volumeMounts", "environmentVariables")


def other(group):
    """Return `group` in that way."""
    group = codec.copy(group)
    properties = group["properties"]
    group["id"] = group["id"].upper()
    group["tags"] = {name.upper(): value for name, value in group["tags"].items()}
    group["systemData"] = {"createdBy": "someone"}
    group.setdefault("zones", None)
    group.setdefault("identity", None)
    properties["isCreatedFromStandbyPool"] = False
    for name in ("initContainers", "volumes", "imageRegistryCredentials", "ipAddress"):
        properties.setdefault(name, None)
    if view := properties.get("instanceView"):
        view["events"] = view["events"] or None
    for item in [*properties["containers"], *(properties["initContainers"] or ())]:
        for name in ABSENT:
            item["properties"].setdefault(name, None)
        if view := item["properties"].get("instanceView"):
            view["events"] = view["previousState"] = None
            view["currentState"] = {name: _time(value) for name, value in view["currentState"].items()}
    return group


def _time(value):
    return f"{value[:-1]}0000+00:00" if isinstance(value, str) and value.endswith("Z") else value
