"""Writes of every kind: conflicts, preconditions, patches, media types."""

from __future__ import annotations

import json

import pytest
from support.devapi import node, pod

PODS = "/api/v1/namespaces/default/pods"
MAPS = "/api/v1/namespaces/default/configmaps"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"


@pytest.fixture
def settings(api):
    return api.create(MAPS, {"metadata": {"name": "settings"}, "data": {"a": "b"}}).json


def test_a_name_is_taken_once(api, settings):
    answer = api.create(MAPS, {"metadata": {"name": "settings"}})
    assert (answer.status, answer.json["reason"]) == (409, "AlreadyExists")
    assert answer.json["details"] == {"name": "settings", "kind": "configmaps"}


def test_put_needs_the_newest_version_if_it_names_one(api, settings):
    newer = api.update(f"{MAPS}/settings", {**settings, "data": {"a": "c"}})
    assert newer.status == 200
    stale = api.update(f"{MAPS}/settings", {**settings, "data": {"a": "d"}})
    assert (stale.status, stale.json["reason"]) == (409, "Conflict")
    assert "the object has been modified" in stale.json["message"]
    assert api.update(f"{MAPS}/settings", {"data": {"a": "e"}}).json["data"] == {"a": "e"}


def test_a_lease_has_to_name_it(api):
    held = api.create(LEASES, {"metadata": {"name": "n1"}, "spec": {}}).json
    del held["metadata"]["resourceVersion"]
    answer = api.update(f"{LEASES}/n1", held)
    assert answer.status == 422
    assert "metadata.resourceVersion: Invalid value: " in answer.json["message"]


def test_a_lease_may_be_made_by_put(api):
    assert api.update(f"{LEASES}/n1", {"spec": {}}).status == 201
    assert api.update(f"{MAPS}/nobody", {}).status == 404


def test_an_old_version_in_a_patch_is_a_conflict(api, settings):
    version = settings["metadata"]["resourceVersion"]
    patch = {"metadata": {"resourceVersion": version}, "data": {"x": "y"}}
    assert api.merge(f"{MAPS}/settings", patch).status == 200
    assert api.merge(f"{MAPS}/settings", patch).status == 409


def test_another_uid_is_409_in_put_and_422_in_patch(api, settings):
    other = {"metadata": {"name": "settings", "uid": "another"}}
    put = api.update(f"{MAPS}/settings", other)
    assert (put.status, put.json["reason"]) == (409, "Conflict")
    assert "UID in precondition: another" in put.json["message"]
    patch = api.strategic(f"{MAPS}/settings", other)
    assert (patch.status, patch.json["reason"]) == (422, "Invalid")
    assert patch.json["details"]["causes"][0]["field"] == "metadata.uid"
    assert api.strategic(f"{MAPS}/nobody", other).status == 404


def test_the_same_uid_passes(api, settings):
    patch = {"metadata": {"uid": settings["metadata"]["uid"]}, "data": {"a": "c"}}
    assert api.strategic(f"{MAPS}/settings", patch).json["data"] == {"a": "c"}


def test_what_a_client_may_not_set_is_kept(api, settings):
    changed = api.merge(
        f"{MAPS}/settings", {"metadata": {"creationTimestamp": "2000-01-01T00:00:00Z", "generation": 9}}
    )
    assert changed.json["metadata"] == settings["metadata"]


def test_names_and_namespaces_must_agree(api, settings):
    assert api.update(f"{MAPS}/settings", {"metadata": {"name": "other"}}).status == 400
    assert api.create(MAPS, {"metadata": {"name": "x", "namespace": "other"}}).status == 400
    assert api.create(MAPS, {"kind": "Secret", "metadata": {"name": "x"}}).status == 400
    assert api.create(MAPS, {"apiVersion": "v2", "metadata": {"name": "x"}}).status == 400
    assert api.create(MAPS, {"metadata": {"name": "x", "resourceVersion": "5"}}).status == 400


def test_json_patch(api, settings):
    path = f"{MAPS}/settings"
    operations = [
        {"op": "test", "path": "/data/a", "value": "b"},
        {"op": "add", "path": "/data/c", "value": "d"},
    ]
    assert api.json_patch(path, operations).json["data"] == {"a": "b", "c": "d"}
    failed = api.json_patch(path, [{"op": "test", "path": "/data/a", "value": "x"}])
    assert failed.status == 422
    assert api.json_patch(path, {"op": "add"}).status == 422
    assert api.json_patch(path, b"no json").status == 400


def test_merge_patch_removes_with_null(api, settings):
    assert "data" not in api.merge(f"{MAPS}/settings", {"data": {"a": None}}).json


def test_strategic_patch_merges_taints_whole(api):
    api.create("/api/v1/nodes", node(spec={"taints": [{"key": "a", "effect": "NoSchedule"}]}))
    taints = [{"key": "b", "effect": "NoSchedule"}]
    changed = api.strategic("/api/v1/nodes/n1", {"spec": {"taints": taints}}).json
    assert changed["spec"]["taints"] == taints


def test_a_patch_of_wrong_types_is_invalid(api, settings):
    answer = api.merge(f"{MAPS}/settings", {"data": {"a": 1}})
    assert answer.status == 422
    assert "json: cannot unmarshal number" in answer.json["message"]


def test_unknown_media_types(api, settings):
    assert api("PATCH", f"{MAPS}/settings", {}, content_type="application/json").status == 415
    assert api.create(MAPS, b"<x/>", content_type="text/xml").status == 415
    assert api.get(MAPS, headers={"Accept": "text/html"}).status == 406
    assert (
        api.get(MAPS, headers={"Accept": "application/vnd.kubernetes.protobuf,application/json"}).status
        == 200
    )


def test_yaml_is_read(api):
    text = b"metadata: {name: y}\ndata:\n  when: '2026-01-02'\n"
    assert api.create(MAPS, text, content_type="application/yaml").json["data"] == {"when": "2026-01-02"}


def test_nonsense_is_a_bad_request(api):
    for body in (b"", b"{", b"[]", b"5"):
        assert api.create(MAPS, body).status == 400


def test_dry_run_changes_nothing(api, settings):
    assert api.create(f"{MAPS}?dryRun=All", {"metadata": {"name": "x"}}).status == 201
    assert api.get(f"{MAPS}/x").status == 404
    assert api.merge(f"{MAPS}/settings?dryRun=All", {"data": {"a": "z"}}).json["data"] == {"a": "z"}
    assert api.delete(f"{MAPS}/settings?dryRun=All").status == 200
    assert api.get(f"{MAPS}/settings").json == settings
    assert api.create(f"{MAPS}?dryRun=Some", {"metadata": {"name": "x"}}).status == 422


@pytest.mark.parametrize(
    ("directive", "status"), [("Strict", 400), ("Warn", 201), ("Ignore", 201), ("", 201)]
)
def test_field_validation(api, directive, status):
    answer = api.create(f"{MAPS}?fieldValidation={directive}", {"metadata": {"name": "x"}, "date": {}})
    assert answer.status == status
    api.create(MAPS, {"metadata": {"name": "y"}, "d\u00e4te\n": {}})
    warned = answer.headers.get("Warning", "")
    assert warned == ('299 - "unknown field \\"date\\""' if directive in {"Warn", ""} else "")


def test_server_side_apply_creates_and_takes_back(api):
    def apply(manager, data, force=""):
        path = f"{MAPS}/applied?fieldManager={manager}&force={force}"
        body = json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "data": data}).encode()
        return api("PATCH", path, body, content_type="application/apply-patch+yaml")

    assert apply("one", {"a": "1", "b": "2"}).status == 201
    assert apply("two", {"c": "3"}).json["data"] == {"a": "1", "b": "2", "c": "3"}
    conflict = apply("two", {"a": "9", "c": "3"})
    assert conflict.status == 409
    assert conflict.json["details"]["causes"][0]["reason"] == "FieldManagerConflict"
    assert apply("two", {"a": "9", "c": "3"}, force="true").json["data"]["a"] == "9"
    assert apply("one", {}).json["data"] == {"a": "9", "c": "3"}
    assert apply("", {}).status == 422


def test_a_first_apply_meets_what_was_there_before(api, settings):
    body = b'{"apiVersion":"v1","kind":"ConfigMap","data":{"a":"changed"}}'
    path = f"{MAPS}/settings?fieldManager=one"
    answer = api("PATCH", path, body, content_type="application/apply-patch+yaml")
    assert answer.status == 409
    assert 'conflict with "before-first-apply" using v1: .data.a' in answer.json["message"]


def test_immutable_config(api):
    api.create(MAPS, {"metadata": {"name": "fixed"}, "data": {"a": "b"}, "immutable": True})
    answer = api.merge(f"{MAPS}/fixed", {"data": {"a": "c"}})
    assert "field is immutable when `immutable` is set" in answer.json["message"]
    assert api.merge(f"{MAPS}/fixed", {"metadata": {"labels": {"a": "b"}}}).status == 200


def test_secrets_take_text_and_give_base64(api):
    path = "/api/v1/namespaces/default/secrets"
    made = api.create(path, {"metadata": {"name": "s"}, "stringData": {"a": "b"}, "data": {"c": "ZA=="}}).json
    assert made["data"] == {"a": "Yg==", "c": "ZA=="}
    assert made["type"] == "Opaque"
    assert "stringData" not in made
    assert api.create(path, {"metadata": {"name": "t"}, "type": "kubernetes.io/tls"}).status == 422


def test_micro_time_is_strict(api):
    answer = api.create(LEASES, {"metadata": {"name": "n1"}, "spec": {"renewTime": "2026-01-02T03:04:05Z"}})
    assert answer.status == 400
    assert 'cannot parse "Z" as ".000000"' in answer.json["message"]


def test_events_belong_to_what_they_are_about(api):
    path = "/api/v1/namespaces/default/events"
    about = {"kind": "Pod", "namespace": "other", "name": "x"}
    answer = api.create(path, {"metadata": {"name": "e"}, "involvedObject": about})
    assert "involvedObject.namespace" in answer.json["message"]
    node_event = {"metadata": {"name": "e"}, "involvedObject": {"kind": "Node", "name": "n1"}}
    assert api.create(path, node_event).status == 201


def test_events_of_both_groups_are_the_same(api):
    path = "/api/v1/namespaces/default/events"
    about = {"kind": "Pod", "namespace": "default", "name": "web"}
    api.create(path, {"metadata": {"name": "e"}, "involvedObject": about, "message": "hello", "reason": "R"})
    new = "/apis/events.k8s.io/v1/namespaces/default/events"
    seen = api.get(f"{new}?fieldSelector=regarding.name%3Dweb").json["items"][0]
    assert (seen["note"], seen["regarding"]["name"]) == ("hello", "web")
    api.merge(f"{new}/e", {"note": "changed"})
    assert api.get(f"{path}/e").json["message"] == "changed"


def test_services_get_addresses(api):
    path = "/api/v1/namespaces/default/services"
    service = {"metadata": {"name": "a"}, "spec": {"ports": [{"port": 80}]}}
    made = api.create(path, service).json
    address = made["spec"]["clusterIP"]
    assert address.startswith(("10.96.", "10.97.", "10.98.", "10.99.", "10.10", "10.11"))
    assert made["spec"]["ports"] == [{"port": 80, "protocol": "TCP", "targetPort": 80}]
    taken = {"metadata": {"name": "b"}, "spec": {"clusterIP": address, "ports": [{"port": 80}]}}
    assert "provided IP is already allocated" in api.create(path, taken).json["message"]
    assert (
        api.update(f"{path}/a", {**service, "spec": {"ports": [{"port": 81}]}}).json["spec"]["clusterIP"]
        == address
    )
    headless = {"metadata": {"name": "c"}, "spec": {"clusterIP": "None"}}
    assert api.create(path, headless).json["spec"]["clusterIP"] == "None"


def test_the_api_servers_own_service_says_where_it_is(api, plane):
    spec = api.get("/api/v1/namespaces/default/services/kubernetes").json["spec"]
    assert f"https://{spec['clusterIP']}:{spec['ports'][0]['port']}" == plane.url


def test_paths_and_methods_that_do_not_exist(api):
    assert api.get("/api/v1/namespaces/default/nothings").status == 404
    assert api.get("/nothing").status == 404
    assert api.create(f"{PODS}/web/status", {}).status == 405
    assert api("PUT", PODS, {}).status == 405
    assert api.get(f"{PODS}/web/nothing").status == 404
    assert api.create("/api/v1/pods", pod()).status == 404
    assert api.get("/api/v1/namespaces/default/nodes").status == 404
    assert api.create(f"{PODS}/web", pod()).status == 405
