"""Pods that do not end when they are told."""

from __future__ import annotations

import pytest
from support.pods import make_pod
from support.waiting import eventually

from virtual_kubelet.node import pod_endings


@pytest.fixture(autouse=True)
def hurry(monkeypatch):
    monkeypatch.setattr(pod_endings, "MARGIN", 0.2)
    monkeypatch.setattr(pod_endings, "REMINDER_INTERVAL", 0.5)


def graces(provider):
    return [
        pod["metadata"]["deletionGracePeriodSeconds"]
        for method, pod in provider.handed
        if method == "delete_pod"
    ]


def test_an_object_does_not_wait_for_ever(node, provider, caplog):
    provider.on_delete = "stay"
    node.apply()
    node.wait_phase("Running")
    node.delete(grace=1)
    node.wait_gone()
    assert "have not ended in time" in caplog.text
    # The provider is told again, without grace, until it obeys.
    eventually(lambda: graces(provider)[:2] == [1, 0])
    provider.on_delete = "vanish"
    eventually(lambda: not provider.pods)
    eventually(lambda: len(node.pods._controller._records) == 0)


def test_a_stray_pod_is_reminded_now_and_then(node, provider):
    provider.on_delete = "stay"
    node.stop()
    provider.plant(make_pod("stray", terminationGracePeriodSeconds=0))
    node.start()
    eventually(lambda: len(graces(provider)) >= 3)
    asked, told = provider.count("get_pod"), len(graces(provider))
    provider.on_delete = "end"
    eventually(lambda: [pod["status"] for pod in provider.pods.values()] == [{"phase": "Succeeded"}])
    node.settled()
    # The busier the machine, the more reminders until we look again, each with its questions.
    reminders = max(1, len(graces(provider)) - told)
    assert provider.count("get_pod") < asked + 30 * reminders


def test_a_pod_that_is_over_in_the_api_is_ended_by_force(node, provider):
    provider.on_delete = "stay"
    node.apply(terminationGracePeriodSeconds=0)
    node.wait_phase("Running")
    node.patch("web", {"status": {"phase": "Failed", "reason": "Evicted"}}, "/status")
    eventually(lambda: len(graces(provider)) >= 2)
    provider.on_delete = "vanish"
    eventually(lambda: not provider.pods)
    assert node.phase() == "Failed"
