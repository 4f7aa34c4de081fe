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


def test_openapi_v2_in_both_forms(api):
    document = api.get("/openapi/v2").json
    assert document["swagger"] == "2.0"
    for definition in document["definitions"].values():
        for one in definition["properties"].values():
            for reference in references(one):
                assert reference.removeprefix("#/definitions/") in document["definitions"]
    asked = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
    encoded = api.get("/openapi/v2", headers={"Accept": asked})
    assert encoded.headers["Content-Type"] == asked.replace("@", ".")
    fields = dict(top_fields(encoded.data))
    assert fields[1] == b"2.0"
    names = [dict(top_fields(value))[1].decode() for number, value in top_fields(fields[9]) if number == 1]
    assert names == list(document["definitions"])
    paths = [dict(top_fields(value))[1].decode() for number, value in top_fields(fields[8]) if number == 2]
    assert paths == list(document["paths"])


def top_fields(data):
    """Read length-delimited fields, of which alone the document is made."""
    position = 0
    while position < len(data):
        numbers = []
        for _ in range(2):
            number = shift = 0
            while True:
                byte = data[position]
                position += 1
                number |= (byte & 0x7F) << shift
                shift += 7
                if byte < 0x80:
                    break
            numbers.append(number)
        assert numbers[0] & 7 == 2
        yield numbers[0] >> 3, data[position : position + numbers[1]]
        position += numbers[1]


def test_merge_rules_are_published(api):
    for document in (
        api.get("/openapi/v2").json["definitions"],
        api.get("/openapi/v3/api/v1").json["components"]["schemas"],
    ):
        spec = document["io.k8s.api.core.v1.PodSpec"]["properties"]
        assert spec["containers"]["x-kubernetes-patch-merge-key"] == "name"
        assert spec["volumes"]["x-kubernetes-patch-strategy"] == "merge,retainKeys"
        assert "x-kubernetes-patch-merge-key" not in spec["tolerations"]
        ports = document["io.k8s.api.core.v1.Container"]["properties"]["ports"]
        assert ports["x-kubernetes-list-map-keys"] == ["containerPort", "protocol"]
