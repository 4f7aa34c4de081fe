"""The watcher against an engine that does what a test wants."""

from __future__ import annotations

import json
import threading

import pytest
from support.waiting import eventually

from virtual_kubelet.providers.engine.watcher import Watcher
from virtual_kubelet.runtime.threads import Deadline


@pytest.mark.parametrize("status", [404, 405, 400, 500])
def test_an_engine_without_events_is_looked_at_again_and_again(engine, client, status):
    engine.answers["GET", "/events"] = (status, {"message": "no events"})
    looks = threading.Semaphore(0)
    watcher = Watcher(client, dict, lambda *_: None, looks.release)
    watcher.start()
    assert looks.acquire(timeout=30)
    assert looks.acquire(timeout=30)
    watcher.stop(Deadline(5))


def test_events_are_heard_and_a_break_asks_for_a_list(engine, client):
    def events(_, handler):
        handler.send_response(200)
        handler.end_headers()
        event = {"Type": "container", "Action": "die", "Actor": {"ID": "c1", "Attributes": {"a": "b"}}}
        handler.wfile.write(json.dumps(event).encode() + b"\n")
        return None, b""

    engine.answers["GET", "/events"] = events
    heard, connects = [], []
    watcher = Watcher(client, dict, lambda *what: heard.append(what), lambda: connects.append(1))
    watcher.start()
    eventually(lambda: len(connects) >= 2 and heard)
    watcher.stop(Deadline(5))
    assert heard[0] == ("c1", "die", {"a": "b"})


def test_an_engine_that_stands_still_holds_up_no_end(engine, client):
    asked = threading.Event()

    def events(_, __):
        asked.set()
        engine.hold.wait(60)
        return None, b""

    engine.answers["GET", "/events"] = events
    watcher = Watcher(client, dict, lambda *_: None, lambda: None)
    watcher.start()
    assert asked.wait(30)
    watcher.stop(Deadline(0))
    thread = watcher._thread
    assert thread.is_alive()
    assert thread.daemon
    engine.hold.set()
    thread.join(30)
    assert not thread.is_alive()
