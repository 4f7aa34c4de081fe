"""The life of pods through the whole pod half, on the embedded control plane."""

from __future__ import annotations

import pytest
from support.devapi import control_plane
from support.podnode import PodNode
from support.provider import PushingProvider, ScriptedProvider
from support.waiting import eventually


@pytest.fixture
def plane():
    with control_plane() as plane:
        yield plane


@pytest.fixture(params=[ScriptedProvider, PushingProvider], ids=["polled", "pushing"])
def provider(request):
    return request.param()


@pytest.fixture
def node(plane, provider, tmp_path):
    with PodNode(plane, provider, tmp_path) as node:
        yield node


def test_a_pod_runs_and_goes(node, provider):
    created = node.apply()
    pod = node.wait_phase("Running")
    assert pod["metadata"]["uid"] == created["metadata"]["uid"]
    assert pod["status"]["hostIPs"] == [{"ip": "10.9.8.7"}]
    assert {c["type"]: c["status"] for c in pod["status"]["conditions"]}["Ready"] == "True"
    assert provider.count("create_pod") == 1
    node.delete()
    node.wait_gone()
    assert provider.count("delete_pod") == 1
    assert provider.last("delete_pod")["metadata"]["deletionGracePeriodSeconds"] == 30
    eventually(lambda: not provider.pods)
    assert node.events.reasons() == ["ProviderCreateSuccess", "ProviderDeleteSuccess"]
