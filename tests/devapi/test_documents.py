"""What the server says of itself."""

from __future__ import annotations

import pytest

V2 = "application/json;g=apidiscovery.k8s.io;v={};as=APIGroupDiscoveryList,application/json"


@pytest.mark.parametrize("version", ["v2", "v2beta1"])
def test_aggregated_discovery(api, version):
    core = api.get("/api", headers={"Accept": V2.format(version)})
    assert (
        core.headers["Content-Type"]
        == f"application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList"
    )
    assert core.json["kind"] == "APIGroupDiscoveryList"
    resources = {each["resource"]: each for each in core.json["items"][0]["versions"][0]["resources"]}
    pods = resources["pods"]
    assert pods["responseKind"] == {"group": "", "version": "v1", "kind": "Pod"}
    assert (pods["shortNames"], pods["categories"], pods["scope"]) == (["po"], ["all"], "Namespaced")
    eviction = next(each for each in pods["subresources"] if each["subresource"] == "eviction")
    assert eviction["responseKind"] == {"group": "policy", "version": "v1", "kind": "Eviction"}
    groups = api.get("/apis", headers={"Accept": V2.format(version)}).json["items"]
    assert "coordination.k8s.io" in [group["metadata"]["name"] for group in groups]


def test_the_old_form(api):
    assert api.get("/api").json["versions"] == ["v1"]
    listed = api.get("/api/v1").json
    assert listed["groupVersion"] == "v1"
    by_name = {resource["name"]: resource for resource in listed["resources"]}
    assert by_name["pods"]["kind"] == "Pod"
    assert (by_name["pods/eviction"]["group"], by_name["pods/eviction"]["version"]) == ("policy", "v1")
    groups = {group["name"]: group for group in api.get("/apis").json["groups"]}
    for name, group in groups.items():
        assert api.get(f"/apis/{name}").json["name"] == name
        for version in group["versions"]:
            document = api.get(f"/apis/{version['groupVersion']}").json
            assert document["groupVersion"] == version["groupVersion"]
            assert document["resources"]
    assert api.get("/apis/apps").status == 404
    assert api.get("/apis/apps/v1").status == 404


def test_every_listed_resource_answers(api):
    for path in (
        "/api/v1",
        *(f"/apis/{g['preferredVersion']['groupVersion']}" for g in api.get("/apis").json["groups"]),
    ):
        for resource in api.get(path).json["resources"]:
            if "list" in resource["verbs"] and "/" not in resource["name"]:
                listed = api.get(f"{path}/{resource['name']}")
                assert listed.json["kind"] == f"{resource['kind']}List"


def test_openapi(api):
    index = api.get("/openapi/v3").json["paths"]
    assert "api/v1" in index
    for entry in index.values():
        path = entry["serverRelativeURL"]
        assert "?hash=" in path
        document = api.get(path).json
        assert document["openapi"] == "3.0.0"
        schemas = document["components"]["schemas"]
        for schema in schemas.values():
            for one in schema["properties"].values():
                for reference in references(one):
                    assert reference.removeprefix("#/components/schemas/") in schemas
    core = api.get(index["api/v1"]["serverRelativeURL"]).json
    patch = core["paths"]["/api/v1/namespaces/{namespace}/pods/{name}"]["patch"]
    assert "fieldValidation" in [parameter["name"] for parameter in patch["parameters"]]
    assert patch["x-kubernetes-group-version-kind"] == {"group": "", "version": "v1", "kind": "Pod"}


def references(value):
    if isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"]
        for each in value.values():
            yield from references(each)
    elif isinstance(value, list):
        for each in value:
            yield from references(each)


def test_version(api):
    found = api.get("/version").json
    assert (found["major"], found["minor"]) == ("1", "36")
    assert found["gitVersion"].startswith("v1.36.")
