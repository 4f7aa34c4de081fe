from __future__ import annotations

from virtual_kubelet.providers.azure.group_events import fresh, read


def event(name="Pulled", message="done", kind="Normal", **more):
    return {"name": name, "message": message, "type": kind, "count": 1, "firstTimestamp": "t", **more}


GROUP = {
    "properties": {
        "instanceView": {"events": [event("Created", "group")]},
        "containers": [
            {
                "name": "main",
                "properties": {"instanceView": {"events": [event("Failed", "no image", "Warning")]}},
            }
        ],
        "initContainers": [{"name": "init", "properties": {"instanceView": {"events": None}}}],
    }
}


def test_events_of_group_and_containers():
    found = [(item.type, item.reason, item.message) for item in read(GROUP)]
    assert found == [("Normal", "Created", "group"), ("Warning", "Failed", "container main: no image")]


def test_each_is_told_once_and_again_when_it_happened_again():
    told = {}
    assert len(fresh(read(GROUP), told)) == 2
    assert fresh(read(GROUP), told) == []
    GROUP["properties"]["instanceView"]["events"][0]["count"] = 2
    assert [item.reason for item in fresh(read(GROUP), told)] == ["Created"]


def test_nonsense_is_not_an_event():
    assert read({}) == []
    assert read({"properties": {"instanceView": {"events": ["x", {}]}}})[0].reason == "ContainerGroup"
