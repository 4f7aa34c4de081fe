"""A small list and watch server over `ScriptedServer`: one collection, its history, and faults to order.

Not the embedded control plane: that one behaves, and this one does what a test says, at the moment it says so.
"""

from __future__ import annotations

import copy
import threading
from urllib.parse import unquote

from support.scripted_server import ScriptedServer


class FakeApi:
    """Objects by name, versions, watches; `faults` are scripts that are used up before normal answers."""

    def __init__(self, *, port=0):
        self.condition = threading.Condition()
        self.objects = {}
        self.version = 10
        self.history = []  # (version, type, object)
        self.oldest = 0  # versions below are forgotten: 410
        self.list_faults = []
        self.watch_faults = []
        self.watching = 0
        self.server = ScriptedServer(self._script, port=port)
        self.url = self.server.url

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.server.stopping.set()
        with self.condition:
            self.condition.notify_all()
        self.server.close()

    # -- what a test does --------------------------------------------------------------------------------

    def put(self, name, **fields):
        with self.condition:
            self.version += 1
            kind = "MODIFIED" if name in self.objects else "ADDED"
            uid = self.objects[name]["metadata"]["uid"] if name in self.objects else f"uid-{self.version}"
            metadata = {"name": name, "namespace": "ns", "uid": uid, "resourceVersion": str(self.version)}
            metadata["managedFields"] = [{"manager": "test"}]
            item = {"kind": "Pod", "apiVersion": "v1", "metadata": metadata, **fields}
            self.objects[name] = item
            self._record(kind, item)
            return copy.deepcopy(item)

    def remove(self, name):
        with self.condition:
            self.version += 1
            item = copy.deepcopy(self.objects.pop(name))
            item["metadata"]["resourceVersion"] = str(self.version)
            self._record("DELETED", item)

    def event(self, kind, item):
        """Send an event of any form to all watches, without a change."""
        with self.condition:
            self._record(kind, item)

    def bookmark(self):
        with self.condition:
            self.version += 1
            self._record("BOOKMARK", {"kind": "Pod", "metadata": {"resourceVersion": str(self.version)}})

    def forget_history(self):
        with self.condition:
            self.history.clear()
            self.oldest = self.version

    def requests(self, *, watch):
        return [call.query for call in self.server.calls if (call.query.get("watch") == "true") is watch]

    # -- what the server does ----------------------------------------------------------------------------

    def _record(self, kind, item):
        self.history.append((self.version, kind, item))
        self.condition.notify_all()

    def _script(self, call):
        if call.query.get("watch") == "true":
            fault = self.watch_faults.pop(0) if self.watch_faults else self._watch
        else:
            fault = self.list_faults.pop(0) if self.list_faults else self._list
        fault(call)

    def _list(self, call):
        with self.condition:
            names = sorted(self.objects)
            start = int(unquote(call.query.get("continue", "0")))
            limit = int(call.query.get("limit") or 0) or len(names) + 1
            items = [
                {k: v for k, v in self.objects[n].items() if k not in {"kind", "apiVersion"}} for n in names
            ]
            metadata = {"resourceVersion": str(self.version)}
            if start + limit < len(names):
                metadata["continue"] = str(start + limit)
            body = {"kind": "PodList", "apiVersion": "v1", "metadata": metadata}
            body["items"] = copy.deepcopy(items[start : start + limit])
        call.json(body)

    def _watch(self, call):
        position = int(call.query["resourceVersion"])
        if position < self.oldest:
            call.stream().event(
                "ERROR", {"kind": "Status", "code": 410, "reason": "Expired", "message": "old"}
            )
            call.end()
            return
        call.stream()
        with self.condition:
            index = next((i for i, (v, _, _) in enumerate(self.history) if v > position), len(self.history))
            self.watching += 1
        try:
            while True:
                with self.condition:
                    if len(self.history) <= index:
                        self.condition.wait(0.05)
                    if self.server.stopping.is_set():
                        return
                    pending, index = copy.deepcopy(self.history[index:]), max(index, len(self.history))
                if not pending and call.is_gone():
                    return
                for _, kind, item in pending:
                    if kind == "CLOSE":
                        call.end()
                        return
                    if kind == "CUT":
                        call.cut()
                        return
                    call.event(kind, item)
        finally:
            with self.condition:
                self.watching -= 1
