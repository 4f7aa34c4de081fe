from __future__ import annotations

import threading

import pytest
from support.waiting import eventually

from virtual_kubelet.runtime.threads import Deadline, spawn
from virtual_kubelet.web.pool import Pool


def stop(pool):
    pool.stop()
    assert pool.join(Deadline(30)) == []
    assert len(pool) == 0


def test_no_thread_before_there_is_work():
    pool = Pool("p", 4)
    assert len(pool) == 0
    stop(pool)


def test_no_more_threads_than_the_limit():
    pool, go, running = Pool("p", 3), threading.Event(), []

    def task():
        running.append(threading.current_thread().name)
        go.wait(30)

    for _ in range(10):
        assert pool.submit(task)
    eventually(lambda: len(running) == 3)
    assert len(pool) == 3
    assert pool.crowded
    go.set()
    eventually(lambda: len(running) == 10)
    assert len(pool) == 3
    assert set(running) == {"p-1", "p-2", "p-3"}
    stop(pool)


def test_an_idle_thread_is_used_again():
    pool, names = Pool("p", 8), []
    for n in range(20):
        pool.submit(lambda: names.append(threading.current_thread().name))
        eventually(lambda n=n: len(names) == n + 1)
        eventually(lambda: pool._waiting == len(pool))
    assert len(set(names)) == 1
    stop(pool)


def test_an_idle_thread_ends_after_a_while():
    pool = Pool("p", 8, idle=0.02)
    pool.submit(lambda: None)
    eventually(lambda: len(pool) == 0)
    done = threading.Event()
    pool.submit(done.set)
    assert done.wait(30)
    stop(pool)


def test_a_detached_thread_makes_room_for_another():
    pool, go, order = Pool("p", 1), threading.Event(), []

    def long():
        pool.detach()
        pool.detach()  # once is enough
        order.append("long begun")
        go.wait(30)
        order.append("long ended")

    pool.submit(long)
    pool.submit(lambda: order.append("short"))
    eventually(lambda: "short" in order)
    assert "long ended" not in order
    go.set()
    eventually(lambda: "long ended" in order)
    # One of both threads is too many now.
    eventually(lambda: len(pool) == 1)
    stop(pool)


def test_detach_from_elsewhere_does_nothing():
    pool = Pool("p", 1)
    pool.detach()
    done = threading.Event()
    pool.submit(done.set)
    assert done.wait(30)
    stop(pool)


@pytest.mark.fails_inside
def test_a_failing_task_is_logged_and_its_thread_lives(caplog):
    pool, done = Pool("p", 1), threading.Event()
    pool.submit(lambda: 1 / 0)
    pool.submit(done.set)
    assert done.wait(30)
    assert "a task of p failed" in caplog.text
    stop(pool)


def test_stop_drops_what_waits_and_takes_no_more():
    pool, go, begun, ran = Pool("p", 1), threading.Event(), threading.Event(), []

    def first():
        begun.set()
        go.wait(30)

    pool.submit(first)
    pool.submit(lambda: ran.append(1))
    assert begun.wait(30)
    pool.stop()
    assert not pool.submit(lambda: ran.append(2))
    assert pool.join(Deadline(0.05)) == ["p-1"]
    go.set()
    assert pool.join(Deadline(30)) == []
    assert ran == []


def test_many_tasks_from_many_threads_all_run():
    pool, lock, count = Pool("p", 4, idle=0.001), threading.Lock(), [0]

    def task():
        with lock:
            count[0] += 1

    threads = [spawn(lambda: [pool.submit(task) for _ in range(200)], name="submitter") for _ in range(8)]
    for thread in threads:
        thread.join()
    eventually(lambda: count[0] == 1600)
    # Not len(pool): a thread that is ending may have a successor already.
    assert pool._counted <= 4
    stop(pool)
