"""Gets and lists: forms, pages, versions, selectors."""

from __future__ import annotations

import pytest
from support.devapi import pod, register, running

MAPS = "/api/v1/namespaces/default/configmaps"
PODS = "/api/v1/namespaces/default/pods"


@pytest.fixture
def letters(api):
    api.delete(f"{MAPS}/kube-root-ca.crt")
    for name in "abcde":
        api.create(MAPS, {"metadata": {"name": f"x-{name}", "labels": {"letter": name}}})
    return "labelSelector=letter"


def names(answer):
    return [item["metadata"]["name"] for item in answer.json["items"]]


def test_a_list_names_its_kind_and_its_items_do_not(api, letters):
    listed = api.get(f"{MAPS}?{letters}").json
    assert (listed["kind"], listed["apiVersion"]) == ("ConfigMapList", "v1")
    assert "kind" not in listed["items"][0]
    assert int(listed["metadata"]["resourceVersion"]) > 0
    assert api.get(f"{MAPS}/x-a").json["kind"] == "ConfigMap"


def test_all_namespaces(api):
    listed = api.get("/api/v1/serviceaccounts").json["items"]
    assert {item["metadata"]["namespace"] for item in listed} >= {"default", "kube-system"}


def test_pages_show_one_moment(api, letters):
    first = api.get(f"{MAPS}?{letters}&limit=2")
    assert names(first) == ["x-a", "x-b"]
    api.delete(f"{MAPS}/x-c")
    api.create(MAPS, {"metadata": {"name": "x-bb", "labels": {"letter": "bb"}}})
    token = first.json["metadata"]["continue"]
    second = api.get(f"{MAPS}?{letters}&limit=2&continue={token}")
    assert names(second) == ["x-c", "x-d"]
    assert second.json["metadata"]["resourceVersion"] == first.json["metadata"]["resourceVersion"]
    last = api.get(f"{MAPS}?{letters}&limit=2&continue={second.json['metadata']['continue']}")
    assert names(last) == ["x-e"]
    assert "continue" not in last.json["metadata"]


def test_remaining_items_are_counted_without_selectors(api, letters):
    meta = api.get("/api/v1/namespaces/default/configmaps?limit=2").json["metadata"]
    assert meta["remainingItemCount"] >= 3


def test_a_forgotten_page_is_expired(api, letters, plane):
    token = api.get(f"{MAPS}?limit=2").json["metadata"]["continue"]
    plane.faults.expire_history("configmaps")
    answer = api.get(f"{MAPS}?limit=2&continue={token}")
    assert (answer.status, answer.json["reason"]) == (410, "Expired")
    assert api.get(f"{MAPS}?limit=2&continue=nonsense").status == 400


def test_exact_versions(api, letters):
    version = api.get(MAPS).json["metadata"]["resourceVersion"]
    api.delete(f"{MAPS}/x-a")
    exact = api.get(f"{MAPS}?{letters}&resourceVersion={version}&resourceVersionMatch=Exact")
    assert "x-a" in names(exact)
    assert exact.json["metadata"]["resourceVersion"] == version
    newer = api.get(f"{MAPS}?{letters}&resourceVersion={version}&resourceVersionMatch=NotOlderThan")
    assert "x-a" not in names(newer)


def test_a_version_from_the_future(api):
    answer = api.get(f"{MAPS}?resourceVersion=999999")
    assert (answer.status, answer.json["reason"]) == (504, "Timeout")
    assert answer.json["details"]["causes"][0]["message"] == "Too large resource version"
    assert answer.headers["Retry-After"] == "1"


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("letter=a", ["x-a"]),
        ("letter!=a,letter", ["x-b", "x-c", "x-d", "x-e"]),
        ("letter%20in%20(a,c)", ["x-a", "x-c"]),
        ("letter%20notin%20(a,b,c,d),letter", ["x-e"]),
    ],
)
def test_label_selectors(api, letters, selector, expected):
    assert names(api.get(f"{MAPS}?labelSelector={selector}")) == expected


def test_field_selectors(api):
    api.create(PODS, pod("bound", spec={"nodeName": "n1"}))
    api.create(PODS, pod("other", spec={"nodeName": "n2"}))
    api.strategic(f"{PODS}/bound/status", {"status": running()})
    assert names(api.get("/api/v1/pods?fieldSelector=spec.nodeName%3Dn1")) == ["bound"]
    assert names(api.get(f"{PODS}?fieldSelector=status.phase!%3DRunning")) == ["other"]
    assert names(api.get(f"{PODS}?fieldSelector=status.podIP%3D10.1.2.3")) == ["bound"]
    answer = api.get(f"{PODS}?fieldSelector=spec.image%3Dx")
    assert (answer.status, answer.json["message"]) == (400, "field label not supported: spec.image")


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_tables(api, version):
    register(api)
    accept = {"Accept": f"application/json;as=Table;v={version};g=meta.k8s.io,application/json"}
    table = api.get("/api/v1/nodes", headers=accept).json
    assert (table["kind"], table["apiVersion"]) == ("Table", f"meta.k8s.io/{version}")
    columns = [column["name"] for column in table["columnDefinitions"]]
    assert columns[:5] == ["Name", "Status", "Roles", "Age", "Version"]
    assert table["rows"][0]["cells"][:3] == ["n1", "Ready", "<none>"]
    assert table["rows"][0]["object"]["kind"] == "PartialObjectMetadata"
    whole = api.get("/api/v1/nodes?includeObject=Object", headers=accept).json["rows"][0]["object"]
    assert whole["status"]["capacity"]["cpu"] == "4"
    none = api.get("/api/v1/nodes?includeObject=None", headers=accept).json["rows"][0]
    assert "object" not in none


def test_metadata_alone(api):
    accept = {"Accept": "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"}
    listed = api.get("/api/v1/namespaces", headers=accept).json
    assert listed["kind"] == "PartialObjectMetadataList"
    assert set(listed["items"][0]) == {"kind", "apiVersion", "metadata"}


def test_every_kind_can_be_listed_as_a_table(api, plane):
    accept = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
    for kind in plane.cluster.kinds:
        if "watch" in kind.verbs:
            prefix = f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"
            table = api.get(f"{prefix}/{kind.plural}", headers=accept)
            assert table.status == 200, kind.plural
            for row in table.json["rows"]:
                assert len(row["cells"]) == len(table.json["columnDefinitions"]), kind.plural
