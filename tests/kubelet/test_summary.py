from __future__ import annotations

import copy

from virtual_kubelet.kubelet.summary import complete, cpu_and_memory

T1, T2 = "2026-01-02T03:04:05Z", "2026-01-02T03:04:09Z"


def measured(name, seconds, size, time=T1):
    return {
        "name": name,
        "cpu": {"time": time, "usageNanoCores": 7, "usageCoreNanoSeconds": seconds},
        "memory": {"time": time, "workingSetBytes": size, "rssBytes": 1},
    }


def test_sums_fill_what_the_provider_left_out():
    given = {
        "pods": [
            {"podRef": {"name": "a"}, "containers": [measured("x", 10, 100), measured("y", 20, 200, T2)]},
            {
                "podRef": {"name": "b"},
                "containers": [measured("z", 5, 50)],
                "memory": {"time": T2, "workingSetBytes": 1},
            },
        ]
    }
    before = copy.deepcopy(given)
    done = complete(given, "node")
    assert given == before
    assert done["pods"][0]["cpu"] == {"time": T1, "usageNanoCores": 14, "usageCoreNanoSeconds": 30}
    assert done["pods"][1]["memory"] == {"time": T2, "workingSetBytes": 1}
    assert done["node"]["nodeName"] == "node"
    assert done["node"]["cpu"]["usageCoreNanoSeconds"] == 35
    assert done["node"]["memory"]["workingSetBytes"] == 301
    assert "swap" not in done["node"]


def test_the_providers_own_numbers_of_the_node_stay():
    node = {"nodeName": "wrong", "cpu": {"time": T1, "usageCoreNanoSeconds": 1}, "fs": {"usedBytes": 2}}
    done = complete({"node": node, "pods": [{"containers": [measured("x", 10, 100)]}]}, "right")
    assert done["node"]["cpu"]["usageCoreNanoSeconds"] == 1
    assert done["node"]["nodeName"] == "right"
    assert done["node"]["fs"] == {"usedBytes": 2}


def test_nothing_measured_is_nothing_said():
    assert complete({}, "node") == {"node": {"nodeName": "node"}, "pods": []}
    pods = [
        {"podRef": {}, "containers": None},
        {"podRef": {}, "containers": [{"name": "x", "cpu": {"time": T1}}]},
    ]
    done = complete({"node": None, "pods": pods}, "node")
    assert "cpu" not in done["pods"][0]
    assert "cpu" not in done["node"]


def test_cpu_and_memory_only():
    done = complete(
        {
            "pods": [
                {"podRef": {"name": "a"}, "network": {}, "containers": [{**measured("x", 1, 2), "logs": {}}]}
            ]
        },
        "n",
    )
    cut = cpu_and_memory(done)
    assert set(cut["pods"][0]) == {"podRef", "cpu", "memory", "containers"}
    assert set(cut["pods"][0]["containers"][0]) == {"name", "cpu", "memory"}
    assert set(cut["node"]) == {"nodeName", "cpu", "memory"}
