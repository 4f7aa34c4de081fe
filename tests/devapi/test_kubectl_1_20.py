"""An old kubectl, Debian's: get, apply, delete and logs. $KUBECTL_1_20 names it.

apt-get download kubernetes-client && dpkg -x kubernetes-client*.deb aside
export KUBECTL_1_20=$PWD/aside/usr/bin/kubectl
"""

from __future__ import annotations

import pytest
from support.devapi import register, running
from support.kubectl import kubectl
from support.waiting import eventually

pytestmark = pytest.mark.live

MANIFEST = """
apiVersion: v1
kind: Pod
metadata: {name: hello, labels: {app: hello}}
spec: {containers: [{name: main, image: busybox}]}
"""


@pytest.fixture
def k(plane, tmp_path):
    return kubectl(plane, tmp_path, "1.20")


def test_get_apply_and_delete(k, api):
    register(api)
    assert 'Minor:"36"' in k("version")
    assert k("apply", "--validate=false", "-f", "-", stdin=MANIFEST) == "pod/hello created\n"
    assert k("apply", "--validate=false", "-f", "-", stdin=MANIFEST) == "pod/hello unchanged\n"
    changed = MANIFEST.replace("app: hello", "app: other")
    assert k("apply", "--validate=false", "-f", "-", stdin=changed) == "pod/hello configured\n"
    events = "/api/v1/namespaces/default/events?fieldSelector=reason%3DScheduled"  # once the pod is bound
    eventually(lambda: api.get(events).json["items"])
    api.strategic("/api/v1/namespaces/default/pods/hello/status", {"status": running()})
    assert k("get", "pods", "-o", "wide", "--no-headers").split()[:4] == ["hello", "1/1", "Running", "0"]
    assert "Successfully assigned" in k("describe", "pod", "hello")
    k("delete", "pod", "hello", "--force", "--grace-period=0")
    assert "NotFound" in k.fails("get", "pod", "hello")


def test_logs_of_a_pod_that_runs_nowhere(k):
    k("apply", "--validate=false", "-f", "-", stdin=MANIFEST)
    assert k("logs", "hello") == ""


def test_validation_by_the_clients_own_means(k):
    assert k("apply", "-f", "-", stdin=MANIFEST) == "pod/hello created\n"
    complaint = k.fails("create", "-f", "-", stdin=MANIFEST.replace("image:", "imag:"))
    assert 'unknown field "imag" in io.k8s.api.core.v1.Container' in complaint
    assert "image <string>" in k("explain", "pod.spec.containers.image")
