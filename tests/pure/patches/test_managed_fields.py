from __future__ import annotations

import copy

from virtual_kubelet.pure.patches import after_update, schema_of
from virtual_kubelet.pure.patches.managed_fields import APPLY, UPDATE, Manager, read_managers, write_managers

POD = schema_of("", "Pod")
T1, T2, T3 = "2026-01-01T00:00:01Z", "2026-01-01T00:00:02Z", "2026-01-01T00:00:03Z"


def pod(labels, managed=None):
    metadata = {"name": "p", "labels": labels}
    if managed is not None:
        metadata["managedFields"] = managed
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata}


def entry(manager, time, *labels, operation=UPDATE, **more):
    fields = {f"f:{label}": {} for label in labels}
    return {"manager": manager, "operation": operation, "apiVersion": "v1", "time": time, "fieldsType": "FieldsV1", "fieldsV1": {"f:metadata": {"f:labels": fields}}, **more}  # fmt: skip


def update(before, after, manager, time, **more):
    saved = copy.deepcopy((before, after))
    managed = after_update(before, after, POD, manager=manager, time=time, **more)
    assert (before, after) == saved
    return managed


def test_who_creates_owns():
    assert update(None, pod({"a": "1", "b": "1"}), "kubectl", T1) == [entry("kubectl", T1, "a", "b")]


def test_who_changes_owns_alone_and_what_is_gone_is_nobodys():
    before = pod({"a": "1", "b": "1", "c": "1"}, [entry("kubectl", T1, "a", "b", "c")])
    assert update(before, pod({"a": "2", "b": "1", "d": "1"}), "edit", T2) == [
        entry("kubectl", T1, "b"),
        entry("edit", T2, "a", "d"),
    ]


def test_a_managers_own_entry_grows():
    before = pod({"a": "1", "b": "1"}, [entry("kubectl", T1, "a", "b")])
    assert update(before, pod({"a": "2", "c": "1"}), "kubectl", T2) == [entry("kubectl", T2, "a", "c")]


def test_an_update_that_changes_nothing_keeps_the_time():
    before = pod({"a": "1", "b": "1"}, [entry("kubectl", T1, "a", "b"), entry("other", T2, "b")])
    assert update(before, pod({"a": "1", "b": "1"}), "kubectl", T3) == before["metadata"]["managedFields"]
    assert update(before, pod({"a": "1"}), "kubectl", T3) == [entry("kubectl", T1, "a")]
    assert update(pod({"a": "1"}), pod({"a": "1"}), "kubectl", T3) == []


def test_operations_and_subresources_are_managers_of_their_own():
    managed = [entry("kubectl", T1, "a", operation=APPLY), entry("kubectl", T1, "b")]
    assert update(pod({"a": "1", "b": "1"}, managed), pod({"a": "1", "b": "2"}), "kubectl", T2, subresource="status") == [
        entry("kubectl", T1, "a", operation=APPLY),
        entry("kubectl", T2, "b", subresource="status"),
    ]  # fmt: skip


def test_order_and_reading_back():
    managers = [
        Manager("b", UPDATE, "v1", T2, frozenset({("f:x",)})),
        Manager("a", UPDATE, "v1", T2, frozenset({("f:x",)}), "status"),
        Manager("z", UPDATE, "v1", T1, frozenset({("f:x",)})),
        Manager("y", APPLY, "v1", T3, frozenset({("f:x",)})),
        Manager("idle", APPLY, "v1", T3, frozenset()),
    ]
    written = write_managers(managers)
    assert [one["manager"] for one in written] == ["y", "z", "a", "b"]
    assert sorted(
        read_managers({"metadata": {"managedFields": written}}), key=lambda one: one.name
    ) == sorted(managers[:4], key=lambda one: one.name)
    assert read_managers({}) == read_managers({"metadata": {"managedFields": None}}) == []
    (bare,) = read_managers({"metadata": {"managedFields": [{}]}})
    assert bare == Manager("", UPDATE, "", "", frozenset())
