"""The storage: versions, history, subscriptions."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from virtual_kubelet.devapi.storage.memory import HistoryExpired, MemoryStorage
from virtual_kubelet.devapi.storage.record import Record
from virtual_kubelet.runtime.threads import spawn


def body(name, namespace="default", **fields):
    return {"metadata": {"name": name, "namespace": namespace, "uid": f"uid-{name}"}, **fields}


def put(storage, name, **fields):
    return storage.create("pods", "default", name, body(name, **fields))


def everything(_):
    return True


def test_each_change_gets_a_version_of_its_own():
    storage = MemoryStorage()
    first = put(storage, "a")
    second = storage.create("nodes", "", "n", body("n"))
    third = storage.swap("pods", first, body("a", x=1))
    assert [first.version, second.version, third.version] == [2, 3, 4]
    assert third.body["metadata"]["resourceVersion"] == "4"
    assert storage.version == 4


def test_a_name_is_taken_once():
    storage = MemoryStorage()
    put(storage, "a")
    assert put(storage, "a") is None


def test_swap_and_remove_want_the_newest():
    storage = MemoryStorage()
    old = put(storage, "a")
    new = storage.swap("pods", old, body("a", x=1))
    assert storage.swap("pods", old, body("a", x=2)) is None
    assert storage.remove("pods", old, old.copy()) is None
    last = storage.remove("pods", new, new.copy())
    assert last.version > new.version
    assert storage.get("pods", "default", "a") is None


def test_records_are_sorted_and_of_one_moment():
    storage = MemoryStorage()
    for name in ("c", "a", "b"):
        put(storage, name)
    storage.create("pods", "other", "a", body("a"))
    records, version = storage.records("pods")
    assert [(r.namespace, r.name) for r in records] == [
        ("default", "a"),
        ("default", "b"),
        ("default", "c"),
        ("other", "a"),
    ]
    assert version == storage.version
    assert [r.name for r in storage.records("pods", "other")[0]] == ["a"]


@settings(max_examples=50)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["put", "remove"])), max_size=20))
def test_the_past_can_be_listed(steps):
    storage = MemoryStorage()
    moments = []
    for name, action in steps:
        held = storage.get("pods", "default", name)
        if action == "remove" and held:
            storage.remove("pods", held, held.copy())
        elif held:
            storage.swap("pods", held, body(name))
        else:
            put(storage, name)
        records, version = storage.records("pods")
        moments.append((version, [(r.name, r.version) for r in records]))
    for version, expected in moments:
        assert [(r.name, r.version) for r in storage.records_at("pods", "", version)] == expected


def test_history_is_bounded():
    storage = MemoryStorage(history=3)
    start = storage.version
    for name in "abcd":
        put(storage, name)
    with pytest.raises(HistoryExpired):
        storage.subscribe("pods", "", start, everything)
    with pytest.raises(HistoryExpired):
        storage.records_at("pods", "", start)
    subscription, _, _ = storage.subscribe("pods", "", start + 1, everything)
    assert [subscription.next(0).record.name for _ in range(3)] == ["b", "c", "d"]


def test_a_subscription_begins_where_it_was_told_and_misses_nothing():
    storage = MemoryStorage()
    put(storage, "a")
    version = storage.version
    put(storage, "b")
    subscription, present, _ = storage.subscribe("pods", "", version, everything)
    put(storage, "c")
    assert present == []
    assert [subscription.next(0).record.name for _ in range(2)] == ["b", "c"]
    assert subscription.next(0) is None


def test_a_subscription_without_a_version_gets_what_is_there():
    storage = MemoryStorage()
    put(storage, "b")
    put(storage, "a")
    subscription, present, version = storage.subscribe("pods", "default", None, everything)
    assert [record.name for record in present] == ["a", "b"]
    assert version == storage.version
    assert subscription.next(0) is None


def test_forgotten_history_cuts_off_even_the_latest_list():
    storage = MemoryStorage()
    put(storage, "a")
    version = storage.version
    storage.expire_history()
    with pytest.raises(HistoryExpired):
        storage.subscribe("pods", "", version, everything)
    storage.subscribe("pods", "", storage.version, everything)


def test_closing_wakes_the_reader():
    storage = MemoryStorage()
    subscription, _, _ = storage.subscribe("pods", "", None, everything)
    seen = []
    reader = spawn(lambda: seen.append(subscription.next(None)), name="reader")
    assert storage.close_subscriptions("pods", expired=True) == 1
    reader.join(30)
    assert seen == [None]
    assert subscription.closed
    assert subscription.expired


def test_a_reader_that_falls_behind_is_cut_off():
    storage = MemoryStorage()
    subscription, _, _ = storage.subscribe("pods", "", None, everything)
    subscription._backlog = 2
    for name in "abc":
        put(storage, name)
    assert [subscription.next(0).record.name for _ in range(2)] == ["a", "b"]
    assert subscription.closed
    assert subscription.expired


def test_a_reader_that_is_cut_off_hears_nothing_behind_the_gap():
    storage = MemoryStorage()
    subscription, _, _ = storage.subscribe("pods", "", None, everything)
    put(storage, "a")
    storage.close_subscriptions("pods")  # `a` is unread, and dropped
    put(storage, "b")
    assert subscription.closed
    assert subscription.next(0) is None


def test_followers_see_several_buckets_from_the_beginning():
    storage = MemoryStorage()
    put(storage, "a")
    follower = storage.follow(["pods", "nodes"], everything)
    storage.create("nodes", "", "n", body("n"))
    storage.close_subscriptions()  # those of clients
    changes = [follower.next(0) for _ in range(2)]
    assert [(change.bucket, change.record.name) for change in changes] == [("pods", "a"), ("nodes", "n")]
    storage.unfollow(follower)
    put(storage, "b")
    assert follower.closed


def test_a_snapshot_can_be_loaded():
    storage = MemoryStorage()
    put(storage, "a", spec={})
    copy = MemoryStorage()
    copy.load(storage.version, storage.dump())
    assert copy.get("pods", "default", "a").body == storage.get("pods", "default", "a").body
    assert copy.version > storage.version


def test_a_snapshot_expires_what_was_before_of_all_kinds():
    storage = MemoryStorage()
    put(storage, "a")
    copy = MemoryStorage()
    copy.load(storage.version, storage.dump())
    later = put(storage, "b").version  # given out, and lost
    for bucket in ("pods", "nodes"):
        with pytest.raises(HistoryExpired):
            copy.subscribe(bucket, "", later, everything)
        copy.subscribe(bucket, "", copy.version, everything)


def test_racing_writers_lose_no_change():
    storage = MemoryStorage()
    put(storage, "a", count=0)

    def count():
        for _ in range(200):
            while True:
                old = storage.get("pods", "default", "a")
                if storage.swap("pods", old, body("a", count=old.body["count"] + 1)):
                    break

    writers = [spawn(count, name=f"writer-{number}") for number in range(4)]
    for writer in writers:
        writer.join()
    assert storage.get("pods", "default", "a").body["count"] == 800


def test_a_record_is_encoded_once():
    record = Record("default", "a", body("a"), 2)
    assert record.raw is record.raw
    assert record.copy() == record.body
    assert record.copy() is not record.body


def test_what_a_watcher_sees_adds_up_to_what_is_there():
    storage = MemoryStorage(history=100_000)
    subscription, _, _ = storage.subscribe("pods", "", storage.version, everything)

    def work(number):
        for step in range(150):
            name = f"p{(number + step) % 7}"
            held = storage.get("pods", "default", name)
            if held is None:
                put(storage, name)
            elif step % 3:
                storage.swap("pods", held, body(name, by=number, step=step))
            else:
                storage.remove("pods", held, held.copy())

    writers = [spawn(work, number, name=f"writer-{number}") for number in range(4)]
    for writer in writers:
        writer.join()
    seen, last = {}, 0
    while (change := subscription.next(0)) is not None:
        assert change.version > last
        last = change.version
        assert change.previous is seen.get(change.record.name)
        if change.deleted:
            del seen[change.record.name]
        else:
            seen[change.record.name] = change.record
    assert {record.name: record for record in storage.records("pods")[0]} == seen
