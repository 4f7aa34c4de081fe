"""The real kubectl at work."""

from __future__ import annotations

import json

import pytest
from support.devapi import register, running
from support.kubectl import kubectl
from support.waiting import eventually

pytestmark = pytest.mark.live

MANIFEST = """
apiVersion: v1
kind: Pod
metadata: {name: hello, labels: {app: hello}}
spec:
  containers:
  - {name: main, image: busybox, command: [sleep, "100"]}
"""

HELLO = "/api/v1/namespaces/default/pods/hello"
SCHEDULED = "/api/v1/namespaces/default/events?fieldSelector=reason%3DScheduled"  # once the pod is bound


@pytest.fixture
def k(plane, tmp_path):
    return kubectl(plane, tmp_path)


@pytest.fixture
def running_pod(k, api):
    """The pod hello, bound to the node n1, with an event that says so, and running."""
    register(api)
    k("apply", "-f", "-", stdin=MANIFEST)
    eventually(lambda: api.get(SCHEDULED).json["items"])
    assert api.strategic(f"{HELLO}/status", {"status": running()}).status == 200
    return HELLO


def test_what_the_server_is(k):
    assert "Server Version: v1.36" in k("version")
    resources = k("api-resources", "-o", "wide")
    assert "pods" in resources
    assert "leases" in resources
    assert "coordination.k8s.io/v1" in resources
    assert "is running at" in k("cluster-info")


def test_get_shows_tables(k, running_pod):
    lines = k("get", "pods", "-o", "wide").splitlines()
    assert lines[0].split() == [
        *("NAME", "READY", "STATUS", "RESTARTS", "AGE", "IP", "NODE"),
        *("NOMINATED", "NODE", "READINESS", "GATES"),
    ]
    assert lines[1].split()[:4] == ["hello", "1/1", "Running", "0"]
    assert lines[1].split()[5:7] == ["10.1.2.3", "n1"]
    assert k("get", "nodes").splitlines()[1].split()[:3] == ["n1", "Ready", "<none>"]
    assert "service/kubernetes" in k("get", "all")
    assert k("get", "pod", "hello", "-o", "jsonpath={.status.phase}") == "Running"
    assert json.loads(k("get", "pods", "-l", "app=hello", "-o", "json"))["kind"] == "List"
    assert k("get", "pods", "-l", "app!=hello") == ""
    assert k("get", "pods", "--field-selector", "spec.nodeName=n1", "-o", "name") == "pod/hello\n"
    assert "not found" in k.fails("get", "pod", "nobody")


def test_describe_reads_events_and_leases(k, running_pod):
    described = k("describe", "pod", "hello")
    assert "Successfully assigned default/hello to n1" in described
    assert "kube-api-access-" in described
    assert "hello" in k("describe", "node", "n1")
    assert "Scheduled" in k("events")
    assert "Scheduled" in k("get", "events")


def test_apply_creates_finds_nothing_to_do_and_changes(k):
    assert k("apply", "-f", "-", stdin=MANIFEST) == "pod/hello created\n"
    assert k("apply", "-f", "-", stdin=MANIFEST) == "pod/hello unchanged\n"
    changed = MANIFEST.replace("app: hello", "app: other")
    difference = k.run("diff", "-f", "-", stdin=changed)
    assert difference.returncode == 1
    assert "+    app: other" in difference.stdout
    assert k("apply", "-f", "-", stdin=changed) == "pod/hello configured\n"
    assert k("get", "pod", "hello", "-o", "jsonpath={.metadata.labels.app}") == "other"


def test_server_side_apply_knows_owners(k):
    assert k("apply", "--server-side", "-f", "-", stdin=MANIFEST) == "pod/hello serverside-applied\n"
    changed = MANIFEST.replace("app: hello", "app: other")
    complaint = k.fails("apply", "--server-side", "--field-manager", "bob", "-f", "-", stdin=changed)
    assert 'conflict with "kubectl" using v1: .metadata.labels.app' in complaint
    k("apply", "--server-side", "--field-manager", "bob", "--force-conflicts", "-f", "-", stdin=changed)
    managers = k(
        "get", "pod", "hello", "--show-managed-fields", "-o", "jsonpath={.metadata.managedFields[*].manager}"
    )
    assert set(managers.split()) >= {"bob", "kubectl"}


def test_apply_turns_to_the_server_side(k, running_pod):
    done = k.run("apply", "--server-side", "-f", "-", stdin=MANIFEST)
    assert (done.stdout, done.stderr) == ("pod/hello serverside-applied\n", ""), (
        "a failed migration only warns"
    )
    tolerations = k("get", "pod", "hello", "-o", "jsonpath={.spec.tolerations[*].key}")
    assert len(tolerations.split()) == 2, "those that the server added are not the manifest's to remove"


def test_a_misspelt_field_is_found(k):
    complaint = k.fails("apply", "-f", "-", stdin=MANIFEST.replace("command", "comand"))
    assert 'strict decoding error: unknown field "spec.containers[0].comand"' in complaint


def test_create_replace_edit_and_patch(k, api):
    assert k("create", "-f", "-", stdin=MANIFEST) == "pod/hello created\n"
    # The binder has said that there is no node: it would make what is read now an old state.
    eventually(lambda: api.get(HELLO).json["status"].get("conditions"))
    assert "AlreadyExists" in k.fails("create", "-f", "-", stdin=MANIFEST)
    whole = k("get", "pod", "hello", "-o", "json")
    k("replace", "-f", "-", stdin=whole.replace('"app": "hello"', '"app": "replaced"'))
    assert "object has been modified" in k.fails("replace", "-f", "-", stdin=whole)
    k("edit", "pod", "hello", environment={"KUBE_EDITOR": "sed -i s/replaced/edited/"})
    assert k("get", "pod", "hello", "-o", "jsonpath={.metadata.labels.app}") == "edited"
    k("patch", "pod", "hello", "-p", '{"metadata":{"labels":{"a":"strategic"}}}')
    k("patch", "pod", "hello", "--type", "merge", "-p", '{"metadata":{"labels":{"b":"merge"}}}')
    operation = '[{"op":"add","path":"/metadata/labels/c","value":"json"}]'
    k("patch", "pod", "hello", "--type", "json", "-p", operation)
    labels = json.loads(k("get", "pod", "hello", "-o", "json"))["metadata"]["labels"]
    assert labels == {"app": "edited", "a": "strategic", "b": "merge", "c": "json"}
    assert "pod updates may not change fields" in k.fails(
        "patch", "pod", "hello", "-p", '{"spec":{"hostname":"x"}}'
    )
    k("set", "image", "pod/hello", "main=busybox:2")
    k("label", "pod", "hello", "app-", "d=e")
    k("annotate", "pod", "hello", "note=yes")
    assert "dry run" in k("label", "pod", "hello", "never=true", "--dry-run=server")
    assert "never" not in k("get", "pod", "hello", "--show-labels")


def test_run_and_delete(k, running_pod):
    assert k("run", "web", "--image", "nginx", "--port", "80") == "pod/web created\n"
    k("wait", "--for=condition=PodScheduled", "pod/web", "--timeout=20s")
    assert k("delete", "pod", "web", "--wait=false") == 'pod "web" deleted\n'
    assert "Terminating" in k("get", "pod", "web")
    assert k("delete", "pod", "web", "--force") == 'pod "web" force deleted\n'
    k("delete", "pod", "hello", "--wait=false", "--grace-period=5")
    assert k("get", "pod", "hello", "-o", "jsonpath={.metadata.deletionGracePeriodSeconds}") == "5"


def test_watch_follows(k, running_pod, api):
    watching = k.start("get", "pods", "-w", "--no-headers")
    try:
        assert "Running" in watching.stdout.readline()
        api.delete(running_pod)
        assert "Terminating" in watching.stdout.readline()
    finally:
        watching.kill()
        watching.communicate()


def test_wait_sees_the_end(k, running_pod, api, plane):
    waiting = k.start("wait", "--for=delete", "pod/hello", "--timeout=30s")
    eventually(lambda: plane.requests.all(verb="watch", resource="pods"))
    api.delete(running_pod, {"gracePeriodSeconds": 0})
    assert waiting.communicate(timeout=30)[0] == "pod/hello condition met\n"


def test_cordon_taint_and_drain(k, running_pod, api):
    k("cordon", "n1")
    assert "Ready,SchedulingDisabled" in k("get", "node", "n1")
    k("uncordon", "n1")
    k("taint", "node", "n1", "key=value:NoSchedule")
    k("taint", "node", "n1", "key:NoSchedule-")
    draining = k.start("drain", "n1", "--force", "--timeout=30s")
    eventually(lambda: "deletionTimestamp" in api.get(running_pod).json["metadata"])
    api.delete(running_pod, {"gracePeriodSeconds": 0})
    out, complaint = draining.communicate(timeout=30)
    assert draining.returncode == 0, complaint
    assert "node/n1 drained" in out


def test_typed_writers_send_protobuf(k):
    k("create", "namespace", "team")
    k("create", "configmap", "settings", "--from-literal", "a=b", "-n", "team")
    k("create", "secret", "generic", "keys", "--from-literal", "a=b", "-n", "team")
    k("create", "serviceaccount", "robot", "-n", "team")
    assert k("get", "configmap", "settings", "-n", "team", "-o", "jsonpath={.data.a}") == "b"
    assert k("get", "secret", "keys", "-n", "team", "-o", "jsonpath={.data.a}") == "Yg=="
    token = k("create", "token", "robot", "-n", "team").strip()
    whoami = k("auth", "whoami", "--token", token)
    assert "system:serviceaccount:team:robot" in whoami
    assert k("auth", "can-i", "create", "pods") == "yes\n"
    assert k.run("auth", "can-i", "create", "pods", "--token", token).stdout.startswith("no")
    k("create", "role", "writer", "--verb=create", "--resource=pods", "-n", "team")
    k("create", "rolebinding", "robot", "--role=writer", "--serviceaccount=team:robot", "-n", "team")
    assert k("auth", "can-i", "create", "pods", "-n", "team", "--token", token) == "yes\n"
    k("delete", "namespace", "team", "--timeout=30s")
    assert "NotFound" in k.fails("get", "namespace", "team")


def test_explain_knows_fields(k):
    explained = k("explain", "pod.spec.containers.image")
    assert "FIELD: image <string>" in explained
