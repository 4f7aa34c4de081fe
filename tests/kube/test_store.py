from __future__ import annotations

import threading

import pytest

from virtual_kubelet.kube.store import REMEMBERED, Store, key_of
from virtual_kubelet.runtime.threads import Deadline, join_all, spawn


def item(name="a", version=1, uid="u", namespace="ns", **labels):
    metadata = {"name": name, "uid": uid, "resourceVersion": str(version), "labels": labels}
    if namespace:
        metadata["namespace"] = namespace
    return {"metadata": metadata}


def by_label(found):
    return found["metadata"]["labels"].values()


@pytest.fixture
def store():
    return Store({"label": by_label})


def test_keys():
    assert key_of(item()) == "ns/a"
    assert key_of(item(namespace="")) == "a"


def test_what_is_put_is_there(store):
    first = item(app="web")
    assert store.put(first)
    assert store.get("ns/a") is first
    assert store.get("ns/b") is None
    assert store.list() == [first]
    assert store.keys() == ["ns/a"]
    assert store.by_index("label", "web") == [first]
    assert store.by_index("label", "db") == []
    assert len(store) == 1


@pytest.mark.parametrize("write", ["put", "apply"])
@pytest.mark.parametrize(("version", "kept"), [(4, False), (5, False), (6, True), (10, True)])
def test_an_older_version_replaces_nothing(store, write, version, kept):
    store.put(item(version=5))
    newer = item(version=version)
    assert getattr(store, write)(newer) is kept
    assert (store.get("ns/a") is newer) is kept


def test_indexes_follow_changes(store):
    store.put(item(version=1, a="x", b="y"))
    store.put(item("b", version=2, a="x"))
    store.put(item(version=3, a="z", b="y"))
    assert [key_of(found) for found in store.by_index("label", "x")] == ["ns/b"]
    assert [key_of(found) for found in store.by_index("label", "y")] == ["ns/a"]
    assert store.by_index("label", "y")[0]["metadata"]["resourceVersion"] == "3"
    store.remove(item(version=4))
    assert store.by_index("label", "z") == []


def test_no_late_answer_brings_back_what_is_gone(store):
    store.apply(item(version=5))
    assert store.remove(item(version=8))
    assert not store.put(item(version=7))
    assert not store.put(item(version=9)), "of that UID nothing can come any more"
    assert not store.put(item(version=3, uid="older"))
    assert store.get("ns/a") is None
    assert store.put(item(version=9, uid="next"))


def test_the_watch_may_bring_back_what_left_its_selection(store):
    store.apply(item(version=5))
    store.remove(item(version=6))
    assert store.apply(item(version=7))
    assert store.put(item(version=8))


def test_the_end_of_a_predecessor_leaves_its_successor(store):
    store.apply(item(version=5, uid="old"))
    store.put(item(version=9, uid="new"))
    assert not store.remove(item(version=8, uid="old"))
    assert store.get("ns/a")["metadata"]["uid"] == "new"
    assert store.remove(item(version=10, uid="new"))


def test_the_memory_of_what_is_gone_is_bounded(store):
    for n in range(REMEMBERED + 10):
        store.remove(item(str(n), version=n))
    assert len(store._removed) == REMEMBERED


def test_a_list_replaces_everything(store):
    store.apply(item("a", 1, app="x"))
    store.apply(item("b", 2, app="x"))
    store.begin_list()
    store.replace([item("b", 3, app="x"), item("c", 4)], "10")
    assert sorted(store.keys()) == ["ns/b", "ns/c"]
    assert len(store.by_index("label", "x")) == 1
    assert not store.put(item("a", 2)), "gone by the list is gone"


def test_what_a_list_does_not_change_stays_the_same_object(store):
    first = item("a", 1)
    store.apply(first)
    store.begin_list()
    store.replace([item("a", 1)], "10")
    assert store.get("ns/a") is first


def test_a_list_from_a_restored_backup_wins_with_its_lower_versions(store):
    store.apply(item("a", 500))
    store.begin_list()
    store.replace([item("a", 100)], "120")
    assert store.get("ns/a")["metadata"]["resourceVersion"] == "100"


def test_what_was_written_while_the_list_was_under_way_is_kept(store):
    store.apply(item("a", 5))
    store.begin_list()
    store.put(item("a", 11))
    store.put(item("new", 12, uid="n"))
    store.put(item("ended", 4, uid="e"))
    store.replace([item("a", 6)], "10")
    assert store.get("ns/a")["metadata"]["resourceVersion"] == "11"
    assert sorted(store.keys()) == ["ns/a", "ns/new"]


def test_an_index_added_later_holds_what_is_there_and_tells_of_new_values():
    store = Store()
    store.put(item("a", 1, app="web"))
    told = []
    store.add_index("late", by_label, lambda value: told.append((value, len(store))))
    assert told == [("web", 1)]
    store.put(item("b", 2, app="web"))
    store.put(item("b", 3, app="web"))
    store.put(item("b", 4, app="db"))
    assert told == [("web", 1), ("web", 2), ("db", 2)]
    with pytest.raises(ValueError, match="late"):
        store.add_index("late", by_label)


def test_an_index_of_a_part_is_asked_again_only_when_that_changes():
    store = Store()
    asked = []

    def names(found):
        asked.append(found["metadata"]["resourceVersion"])
        return found["spec"]

    store.add_index("names", names, part="spec")
    store.put(item("a", 1) | {"spec": ["x"]})
    store.put(item("a", 2) | {"spec": ["x"], "status": "changed"})
    assert [found["status"] for found in store.by_index("names", "x")] == ["changed"]
    store.put(item("a", 3) | {"spec": ["y"]})
    assert store.by_index("names", "x") == []
    assert len(store.by_index("names", "y")) == 1
    assert asked == ["1", "3"]


@pytest.mark.fails_inside
def test_an_index_that_cannot_bear_an_object_loses_that_one_only(caplog):
    store = Store({"odd": lambda found: found["spec"]["x"]})
    assert store.put(item("a", 1))
    assert store.put(item("b", 2) | {"spec": {"x": ["y"]}})
    assert len(store.by_index("odd", "y")) == 1
    assert "ns/a cannot be indexed" in caplog.text


def test_many_threads():
    store = Store({"label": by_label})
    go = threading.Barrier(4)

    def work(part):
        go.wait(30)
        for n in range(500):
            store.put(item(str(n % 20), version=n * 4 + part, app=str(n % 3)))
            store.by_index("label", "1")
            store.list()

    assert join_all([spawn(work, part, name="w") for part in range(4)], Deadline(30)) == []
    for found in store.list():
        assert int(found["metadata"]["resourceVersion"]) >= 480 * 4
    assert sum(len(store.by_index("label", str(n))) for n in range(3)) == 20
