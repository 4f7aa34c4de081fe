"""The way of one object through the whole server."""

from __future__ import annotations

from support.devapi import node, pod

PODS = "/api/v1/namespaces/default/pods"


def test_a_pod_is_created_read_watched_changed_and_deleted(api):
    listed = api.get(PODS).json
    with api.watch(PODS, resourceVersion=listed["metadata"]["resourceVersion"]) as events:
        created = api.create(PODS, pod(spec={"nodeName": "n1"}))
        assert created.status == 201
        assert created.json["status"] == {"phase": "Pending", "qosClass": "BestEffort"}
        patched = api.strategic(f"{PODS}/web/status", {"status": {"phase": "Running"}}).json
        assert patched["status"]["phase"] == "Running"
        deleting = api.delete(f"{PODS}/web").json
        assert deleting["metadata"]["deletionGracePeriodSeconds"] == 30
        gone = api.delete(f"{PODS}/web", {"gracePeriodSeconds": 0})
        assert gone.status == 200
        assert api.get(f"{PODS}/web").status == 404
        seen = [events.next() for _ in range(5)]
    assert [kind for kind, _ in seen] == ["ADDED", "MODIFIED", "MODIFIED", "MODIFIED", "DELETED"]
    versions = [int(obj["metadata"]["resourceVersion"]) for _, obj in seen]
    assert versions == sorted(set(versions))
    assert seen[0][1] == created.json


def test_a_node_registers_and_renews_its_lease(api):
    created = api.create("/api/v1/nodes", node(status={"capacity": {"cpu": "4"}})).json["status"]
    assert created["allocatable"] == {"cpu": "4"}
    leases = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
    lease = {"metadata": {"name": "n1"}, "spec": {"renewTime": "2026-01-02T03:04:05.000000Z"}}
    created = api.create(leases, lease).json
    assert created["kind"] == "Lease"
    created["spec"]["renewTime"] = "2026-01-02T03:04:15.000000Z"
    assert api.update(f"{leases}/n1", created).status == 200
    assert api.update(f"{leases}/n1", created).json["reason"] == "Conflict"


def test_a_stopped_server_comes_back_with_its_objects(plane, api):
    from virtual_kubelet.runtime.threads import Deadline

    api.create(PODS, pod())
    plane.stop(Deadline(5))
    plane.start()
    assert api.get(f"{PODS}/web").status == 200
