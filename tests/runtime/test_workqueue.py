from __future__ import annotations

import threading

import pytest
from support.waiting import eventually

from virtual_kubelet.pure.backoff import Backoff
from virtual_kubelet.runtime.clock import SteppedClock
from virtual_kubelet.runtime.metrics import Metrics
from virtual_kubelet.runtime.threads import Deadline, join_all, spawn
from virtual_kubelet.runtime.workqueue import WorkQueue


class Takers:
    """Threads that take one key each and keep it in hand."""

    def __init__(self, queue, count):
        self.queue = queue
        self.taken = []
        self.threads = [spawn(self._take, name=f"taker-{n}") for n in range(count)]

    def _take(self):
        self.taken.append(self.queue.get())

    def join(self):
        assert join_all(self.threads, Deadline(30)) == []
        return self.taken


@pytest.fixture
def clock():
    return SteppedClock()


@pytest.fixture
def metrics():
    return Metrics()


@pytest.fixture
def queue(clock, metrics):
    queue = WorkQueue("pods", clock=clock, metrics=metrics)
    yield queue
    queue.shut_down()


def sample(metrics, name, **labels):
    return metrics.registry.get_sample_value(name, {"name": "pods", **labels})


def test_a_delayed_key_comes_when_its_time_has_come(queue, clock):
    takers = Takers(queue, 1)
    queue.add_after("key", 5)
    clock.block_until(1)
    clock.advance(4.9)
    assert takers.taken == []
    clock.block_until(1)
    clock.advance(0.1)
    assert takers.join() == ["key"]


def test_of_many_idle_workers_one_watches_the_time(queue, clock):
    takers = Takers(queue, 4)
    clock.block_until(4, timed=False)
    queue.add_after("later", 9)
    clock.block_until(1)
    queue.add_after("sooner", 3)
    eventually(lambda: clock.next_deadline() == 3)
    with pytest.raises(TimeoutError):
        clock.block_until(2, timeout=0.05)
    clock.advance(3)
    eventually(lambda: takers.taken == ["sooner"])
    eventually(lambda: clock.next_deadline() == 9)
    queue.add("now")
    eventually(lambda: takers.taken == ["sooner", "now"])
    clock.block_until(1)
    clock.advance(6)
    eventually(lambda: takers.taken == ["sooner", "now", "later"])
    queue.shut_down()
    assert takers.join()[-1] is None


def test_workers_that_come_later_do_not_watch_the_time_too(queue, clock):
    queue.add_after("later", 9)
    takers = Takers(queue, 4)
    clock.block_until(4, timed=False)
    with pytest.raises(TimeoutError):
        clock.block_until(2, timeout=0.05)
    clock.advance(9)
    eventually(lambda: takers.taken == ["later"])
    queue.shut_down()
    assert takers.join() == ["later", None, None, None]


def test_a_key_is_never_in_two_hands(queue):
    queue.add("key")
    assert queue.get() == "key"
    queue.add("key")
    takers = Takers(queue, 2)
    queue.add("other")
    eventually(lambda: takers.taken == ["other"])
    queue.done("key")
    assert takers.join() == ["other", "key"]


def test_retry_waits_longer_each_time_and_never_gives_up(queue, clock):
    delays = []
    for _ in range(25):
        queue.add("key")
        assert queue.get() == "key"
        delays.append(queue.retry("key"))
        queue.done("key")
    assert delays[:4] == [0.005, 0.01, 0.02, 0.04]
    assert delays[-1] == 300
    assert queue.failures("key") == 25


def test_success_and_forget_end_the_back_off(queue):
    queue.add("key")
    queue.get()
    queue.retry("key")
    queue.done("key")
    queue.forget("key")
    assert queue.retry("key") == 0.005
    queue.add("key")
    queue.get()
    queue.done("key")  # without a retry: it went well
    assert queue.failures("key") == 0


def test_one_keys_back_off_is_no_other_keys(queue):
    for _ in range(10):
        queue.retry("bad")
    assert queue.retry("good") == 0.005
    queue.add("fresh")
    assert queue.get() == "fresh"


def test_retry_heeds_a_server_that_names_a_time(queue):
    assert queue.retry("key", at_least=7) == 7


def test_an_update_pulls_a_backed_off_key_forward(queue):
    for _ in range(10):
        queue.retry("key")
    queue.add("key")
    assert queue.get() == "key"
    assert len(queue) == 0


def test_discard(queue):
    queue.retry("key")
    queue.discard("key")
    assert len(queue) == 0
    assert queue.failures("key") == 0


def test_shut_down_wakes_all_and_drops_what_waits(queue, clock):
    queue.add_after("later", 60)
    takers = Takers(queue, 3)
    clock.block_until(3, timed=False)
    queue.shut_down()
    assert takers.join() == [None, None, None]
    queue.add("late")
    assert len(queue) == 1
    assert queue.get() is None


def test_what_is_in_hand_can_be_finished_after_shut_down(queue):
    queue.add("key")
    queue.get()
    queue.shut_down()
    queue.retry("key")
    queue.done("key")
    with pytest.raises(KeyError):
        queue.done("key")


def test_numbers(queue, clock, metrics):
    queue.add("a")
    queue.add("b")
    queue.add_after("c", 100)
    assert sample(metrics, "workqueue_depth") == 2
    clock.advance(2)
    queue.get()
    clock.advance(3)
    assert sample(metrics, "workqueue_unfinished_work_seconds") == 3
    assert sample(metrics, "workqueue_longest_running_processor_seconds") == 3
    queue.retry("a")
    queue.done("a")
    assert sample(metrics, "workqueue_adds_total") == 4
    assert sample(metrics, "workqueue_retries_total") == 1
    assert sample(metrics, "workqueue_queue_duration_seconds_sum") == 2
    assert sample(metrics, "workqueue_work_duration_seconds_sum") == 3
    assert sample(metrics, "workqueue_unfinished_work_seconds") == 0


def test_nothing_is_lost_between_many_threads():
    queue = WorkQueue("stress", backoff=Backoff(initial=0.0005, maximum=0.002))
    lock = threading.Lock()
    asked, seen, in_hand, doubled = {}, {}, set(), []

    def produce(part):
        for number in range(1500):
            key = f"{(part * 7 + number) % 50}"
            with lock:
                asked[key] = asked.get(key, 0) + 1
            if number % 3:
                queue.add(key)
            else:
                queue.add_after(key, 0.0002)

    def work():
        while (key := queue.get()) is not None:
            with lock:
                if key in in_hand:
                    doubled.append(key)
                in_hand.add(key)
                seen[key] = asked[key]  # what had been asked for before we looked
            if len(key) == 1:
                queue.retry(key) if queue.failures(key) < 2 else queue.forget(key)
            with lock:
                in_hand.discard(key)
            queue.done(key)

    workers = [spawn(work, name="worker") for _ in range(6)]
    producers = [spawn(produce, part, name="producer") for part in range(3)]
    assert join_all(producers, Deadline(60)) == []
    # In this order: a key in hand that is to come back would be in neither between two looks the other way round.
    eventually(lambda: queue.in_hand() == 0 and len(queue) == 0)
    queue.shut_down()
    assert join_all(workers, Deadline(30)) == []
    assert doubled == []
    assert seen == asked
