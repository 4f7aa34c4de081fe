"""What others do to a pod while its status is on the way: the answer shows it before the watch does."""

from __future__ import annotations

import threading

import pytest
from support.waiting import eventually


@pytest.fixture
def meanwhile(node, monkeypatch):
    """Return a function that has something done just before the next status is patched; the watch is held up until then."""
    held, deeds = threading.Event(), []
    patch, put, changed = node.client.patch, node.informer.put, node.informer.changed
    held.set()

    def patched(resource, name, body, *arguments, subresource=None, **more):
        if subresource == "status" and deeds:
            held.clear()
            deeds.pop()()
        return patch(resource, name, body, *arguments, subresource=subresource, **more)

    def taken_in(item):
        try:
            return put(item)
        finally:
            held.set()

    def told(kind, item):
        assert held.wait(30)
        changed(kind, item)

    monkeypatch.setattr(node.client, "patch", patched)
    monkeypatch.setattr(node.informer, "put", taken_in)
    monkeypatch.setattr(node.informer, "changed", told)
    return deeds.append


def test_a_pod_that_is_deleted_meanwhile_goes(node, meanwhile):
    meanwhile(lambda: node.delete(grace=1))
    node.apply()
    node.wait_gone()


def test_a_change_that_is_made_meanwhile_reaches_the_provider(node, provider, meanwhile):
    meanwhile(lambda: node.patch("web", {"metadata": {"labels": {"a": "1"}}}))
    node.apply()
    eventually(lambda: provider.count("update_pod") == 1)
    assert provider.last("update_pod")["metadata"]["labels"] == {"a": "1"}


def test_a_condition_that_somebody_turns_meanwhile_is_turned_back(node, provider, meanwhile):
    def spoil():
        ready = {"type": "Ready", "status": "False", "reason": "NodeNotReady"}
        node.patch("web", {"status": {"conditions": [ready]}}, "/status")

    node.apply()
    node.wait_phase("Running")
    meanwhile(spoil)
    provider.set_status("web", {"phase": "Running", "message": "news"})
    eventually(lambda: node.get()["status"].get("message") == "news")
    eventually(
        lambda: {c["type"]: c["status"] for c in node.get()["status"]["conditions"]}["Ready"] == "True"
    )
