"""Pods: what is filled in, refused, kept."""

from __future__ import annotations

import pytest
from support.devapi import pod, running

PODS = "/api/v1/namespaces/default/pods"


def causes(answer):
    assert answer.status == 422, answer.data
    return {cause["field"]: cause["message"] for cause in answer.json["details"]["causes"]}


def test_defaults(api):
    created = api.create(
        PODS,
        pod(spec={"containers": [{"name": "main", "image": "nginx:1", "ports": [{"containerPort": 80}]}]}),
    )
    spec = created.json["spec"]
    container = spec["containers"][0]
    assert container["imagePullPolicy"] == "IfNotPresent"
    assert container["ports"] == [{"containerPort": 80, "protocol": "TCP"}]
    assert container["terminationMessagePath"] == "/dev/termination-log"
    assert container["volumeMounts"][0]["mountPath"] == "/var/run/secrets/kubernetes.io/serviceaccount"
    assert spec["restartPolicy"] == "Always"
    assert spec["terminationGracePeriodSeconds"] == 30
    assert spec["serviceAccountName"] == spec["serviceAccount"] == "default"
    assert [toleration["tolerationSeconds"] for toleration in spec["tolerations"]] == [300, 300]
    assert created.json["metadata"]["generation"] == 1
    assert created.json["status"] == {"phase": "Pending", "qosClass": "BestEffort"}


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("nginx", "Always"),
        ("nginx:latest", "Always"),
        ("host:5000/nginx", "Always"),
        ("nginx:1.2", "IfNotPresent"),
        ("nginx@sha256:abc", "IfNotPresent"),
    ],
)
def test_pull_policy_follows_the_tag(api, image, policy):
    created = api.create(PODS, pod(spec={"containers": [{"name": "main", "image": image}]})).json
    assert created["spec"]["containers"][0]["imagePullPolicy"] == policy


def test_a_client_cannot_set_the_status_of_a_new_pod(api):
    created = api.create(PODS, pod(status={"phase": "Running", "podIP": "1.2.3.4"})).json
    assert created["status"] == {"phase": "Pending", "qosClass": "BestEffort"}


def with_container(**fields):
    return {"containers": [{"name": "main", "image": "nginx", **fields}]}


def test_what_is_refused_says_where_and_why(api):
    answer = api.create(
        PODS, {"metadata": {"name": "web"}, "spec": {"containers": [{"name": "main"}, {"image": "x"}]}}
    )
    assert causes(answer) == {
        "spec.containers[0].image": "Required value",
        "spec.containers[1].name": "Required value",
    }
    assert answer.json["reason"] == "Invalid"
    assert answer.json["message"] == (
        'Pod "web" is invalid: [spec.containers[0].image: Required value, spec.containers[1].name: Required value]'
    )


@pytest.mark.parametrize("name", ["Web", "web_1", "-web", "a" * 254])
def test_names_that_are_refused(api, name):
    assert "metadata.name" in causes(api.create(PODS, pod(name)))


def test_generate_name(api):
    names = {
        api.create(PODS, {**pod(), "metadata": {"generateName": "web-"}}).json["metadata"]["name"]
        for _ in range(3)
    }
    assert len(names) == 3
    assert all(name.startswith("web-") and len(name) == 9 for name in names)


def test_a_missing_service_account_is_forbidden(api):
    answer = api.create(PODS, pod(spec={"serviceAccountName": "nobody"}))
    assert answer.status == 403
    assert (
        'error looking up service account default/nobody: serviceaccount "nobody" not found'
        in answer.json["message"]
    )


def test_a_missing_namespace_is_not_found(api):
    answer = api.create("/api/v1/namespaces/nowhere/pods", pod())
    assert answer.status == 404
    assert answer.json["details"] == {"name": "nowhere", "kind": "namespaces"}


# ---------------------------------------------------------------------------------------------------------
# Changes


@pytest.fixture
def web(api):
    return api.create(
        PODS, pod(spec={"nodeName": "n1", "tolerations": [{"key": "a", "operator": "Exists"}]})
    ).json


def test_an_image_may_change_and_counts_as_a_generation(api, web):
    changed = api.strategic(
        f"{PODS}/web", {"spec": {"containers": [{"name": "main", "image": "nginx:2"}]}}
    ).json
    assert changed["metadata"]["generation"] == 2
    labelled = api.merge(f"{PODS}/web", {"metadata": {"labels": {"a": "b"}}}).json
    assert labelled["metadata"]["generation"] == 2


@pytest.mark.parametrize(
    "spec",
    [
        {"nodeName": "n2"},
        {"hostNetwork": True},
        {"restartPolicy": "Never"},
        {"terminationGracePeriodSeconds": 1},
        {"containers": [{"name": "main", "command": ["x"]}]},
    ],
)
def test_the_rest_of_the_spec_may_not(api, web, spec):
    answer = api.strategic(f"{PODS}/web", {"spec": spec})
    assert "pod updates may not change fields other than" in causes(answer)["spec"]


def test_containers_may_not_come_or_go(api, web):
    answer = api.strategic(f"{PODS}/web", {"spec": {"containers": [{"name": "b", "image": "x"}]}})
    assert causes(answer)["spec.containers"] == "Forbidden: pod updates may not add or remove containers"


def test_tolerations_may_only_be_added(api, web):
    more = [*web["spec"]["tolerations"], {"key": "b", "operator": "Exists"}]
    assert api.merge(f"{PODS}/web", {"spec": {"tolerations": more}}).status == 200
    assert "spec.tolerations" in causes(api.merge(f"{PODS}/web", {"spec": {"tolerations": more[1:]}}))


def test_a_deadline_may_only_come_nearer(api, web):
    assert api.merge(f"{PODS}/web", {"spec": {"activeDeadlineSeconds": 10}}).status == 200
    assert api.merge(f"{PODS}/web", {"spec": {"activeDeadlineSeconds": 5}}).status == 200
    answer = api.merge(f"{PODS}/web", {"spec": {"activeDeadlineSeconds": 6}})
    assert "must be less than or equal to previous value" in causes(answer)["spec.activeDeadlineSeconds"]


def test_the_main_resource_does_not_change_the_status(api, web):
    changed = api.merge(
        f"{PODS}/web", {"status": {"phase": "Running"}, "metadata": {"labels": {"a": "b"}}}
    ).json
    assert changed["status"]["phase"] == "Pending"
    assert changed["metadata"]["labels"] == {"a": "b"}


def test_the_status_does_not_change_the_spec(api, web):
    patch = {"spec": {"nodeName": "n2"}, "status": running(), "metadata": {"labels": {"a": "b"}}}
    changed = api.strategic(f"{PODS}/web/status", patch).json
    assert changed["spec"] == web["spec"]
    assert changed["status"]["phase"] == "Running"
    assert changed["metadata"]["labels"] == {"a": "b"}
    assert changed["metadata"]["generation"] == 1


def test_the_status_keeps_owners_and_quality(api, web):
    owner = {"apiVersion": "v1", "kind": "Node", "name": "n", "uid": "u"}
    changed = api.merge(
        f"{PODS}/web/status", {"metadata": {"ownerReferences": [owner]}, "status": {"qosClass": None}}
    )
    assert "ownerReferences" not in changed.json["metadata"]
    assert changed.json["status"]["qosClass"] == "BestEffort"


# ---------------------------------------------------------------------------------------------------------
# Status


def patch_status(api, **status):
    return api.strategic(f"{PODS}/web/status", {"status": status})


def test_pod_ips_follow_the_single_one(api, web):
    assert patch_status(api, podIP="10.0.0.1").json["status"]["podIPs"] == [{"ip": "10.0.0.1"}]
    changed = patch_status(api, podIP="10.0.0.2").json["status"]
    # The list merged by ip still begins with the old address: the single one wins.
    assert changed["podIP"] == "10.0.0.2"
    assert changed["podIPs"] == [{"ip": "10.0.0.2"}]


def test_pod_ips_merge_unless_replaced(api, web):
    patch_status(api, podIP="10.0.0.1", podIPs=[{"ip": "10.0.0.1"}])
    answer = patch_status(api, podIPs=[{"ip": "10.0.0.2"}])
    assert "may specify no more than one podIP for each IP family" in causes(answer)["status.podIPs"]
    replaced = patch_status(api, podIP="10.0.0.2", podIPs=[{"$patch": "replace"}, {"ip": "10.0.0.2"}]).json
    assert replaced["status"]["podIPs"] == [{"ip": "10.0.0.2"}]


def test_two_families_are_fine(api, web):
    changed = patch_status(api, podIP="10.0.0.1", podIPs=[{"ip": "10.0.0.1"}, {"ip": "fd00::1"}]).json
    assert changed["status"]["podIPs"] == [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}]


def test_host_ips_must_agree(api, web):
    assert patch_status(api, hostIP="10.0.0.1", hostIPs=[{"ip": "10.0.0.1"}]).status == 200
    answer = patch_status(api, hostIP="10.0.0.2")
    assert causes(answer)["status.hostIPs[0].ip"].endswith("must be equal to `hostIP`")


def test_conditions_merge_by_type(api, web):
    patch_status(api, conditions=[{"type": "example.com/gate", "status": "True"}])
    changed = patch_status(api, conditions=[{"type": "Ready", "status": "False"}]).json
    assert {c["type"]: c["status"] for c in changed["status"]["conditions"]} == {
        "Ready": "False",
        "example.com/gate": "True",
    }


def test_addresses_are_checked(api, web):
    assert "status.podIPs[0]" in causes(patch_status(api, podIP="nowhere"))


TERMINATED = {"name": "main", "state": {"terminated": {"exitCode": 0}}}
RUNNING = {"name": "main", "state": {"running": {}}}


@pytest.mark.parametrize(
    ("policy", "code", "allowed"),
    [
        ("Never", 0, False),
        ("Never", 1, False),
        ("OnFailure", 0, False),
        ("OnFailure", 1, True),
        ("Always", 0, True),
    ],
)
def test_ended_containers_stay_ended(api, policy, code, allowed):
    api.create(PODS, pod(spec={"restartPolicy": policy, "nodeName": "n1"}))
    ended = {"name": "main", "state": {"terminated": {"exitCode": code}}}
    assert patch_status(api, containerStatuses=[ended]).status == 200
    answer = patch_status(api, containerStatuses=[RUNNING])
    if allowed:
        assert answer.status == 200
    else:
        message = "Forbidden: may not be transitioned to non-terminated state"
        assert causes(answer) == {"status.containerStatuses[0].state": message}


def test_init_containers_run_once_under_always(api):
    init = [{"name": "init", "image": "x"}, {"name": "side", "image": "x", "restartPolicy": "Always"}]
    api.create(PODS, pod(spec={"nodeName": "n1", "initContainers": init}))
    ended = [{**TERMINATED, "name": name} for name in ("init", "side")]
    assert patch_status(api, initContainerStatuses=ended).status == 200
    again = [{**RUNNING, "name": name} for name in ("init", "side")]
    assert list(causes(patch_status(api, initContainerStatuses=again))) == [
        "status.initContainerStatuses[0].state"
    ]


def test_a_change_of_nothing_is_no_write(api, web):
    first = patch_status(api, **running()).json
    second = patch_status(api, **running()).json
    assert second["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


# ---------------------------------------------------------------------------------------------------------
# Subresources


def test_binding(api):
    api.create(PODS, pod())
    target = {"target": {"kind": "Node", "name": "n1"}}
    bound = api.create(f"{PODS}/web/binding", target)
    assert bound.status == 201
    held = api.get(f"{PODS}/web").json
    assert held["spec"]["nodeName"] == "n1"
    assert held["status"]["conditions"][0]["type"] == "PodScheduled"
    again = api.create(f"{PODS}/web/binding", target)
    assert again.status == 409
    assert 'pod web is already assigned to node "n1"' in again.json["message"]
    assert api.create(f"{PODS}/web/binding", {"target": {"kind": "Node"}}).status == 422


def test_eviction(api, web):
    body = {"metadata": {"name": "web"}, "deleteOptions": {"gracePeriodSeconds": 7}}
    assert api.create(f"{PODS}/web/eviction", body).status == 201
    assert api.get(f"{PODS}/web").json["metadata"]["deletionGracePeriodSeconds"] == 7
    assert api.create(f"{PODS}/nobody/eviction", {}).status == 404
    assert api.create(f"{PODS}/web/eviction", {"metadata": {"name": "other"}}).status == 400


def test_ephemeral_containers_come_and_stay(api, web):
    debug = {"name": "debug", "image": "busybox", "targetContainerName": "main"}
    path = f"{PODS}/web/ephemeralcontainers"
    added = api.strategic(path, {"spec": {"ephemeralContainers": [debug]}})
    assert added.status == 200
    assert added.json["metadata"]["generation"] == 2
    removed = added.json
    del removed["spec"]["ephemeralContainers"]
    assert "may not be removed" in causes(api.update(path, removed))["spec.ephemeralContainers"]
    taken = api.strategic(path, {"spec": {"ephemeralContainers": [{"name": "main", "image": "x"}]}})
    assert "Duplicate value" in causes(taken)["spec.ephemeralContainers[1].name"]
    assert (
        api.strategic(f"{PODS}/web", {"spec": {"ephemeralContainers": [{**debug, "name": "b"}]}}).status
        == 422
    )


def test_resize_changes_amounts_but_not_the_class(api):
    resources = {"requests": {"cpu": "100m"}}
    api.create(PODS, pod(spec=with_container(resources=resources)))
    path = f"{PODS}/web/resize"
    more = {"spec": {"containers": [{"name": "main", "resources": {"requests": {"cpu": "200m"}}}]}}
    resized = api.strategic(path, more)
    assert resized.json["spec"]["containers"][0]["resources"]["requests"] == {"cpu": "200m"}
    assert resized.json["metadata"]["generation"] == 2
    assert (
        "pod updates may not change"
        in causes(
            api.strategic(
                f"{PODS}/web",
                {"spec": {"containers": [{"name": "main", "resources": {"requests": {"cpu": "300m"}}}]}},
            )
        )["spec"]
    )
    none = {"spec": {"containers": [{"name": "main", "resources": {"requests": {"cpu": "0"}}}]}}
    assert "QOS Class may not change" in causes(api.strategic(path, none))["spec"]
