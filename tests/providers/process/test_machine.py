"""The machine's numbers, and averages over time."""

from __future__ import annotations

import os

import pytest
from support.waiting import eventually

from virtual_kubelet.providers.process.machine import Machine
from virtual_kubelet.providers.process.usage import ProcessTimes, Rates, Sums


def test_a_rate_goes_back_some_seconds_however_often_it_is_asked_for():
    rates = Rates()
    assert rates.take("a", 100.0, 10.0) is None
    assert rates.take("a", 100.01, 10.0) is None, "too soon to say"
    assert rates.take("a", 101.0, 11.0) == 1.0
    assert rates.take("a", 106.0, 11.0) == 1 / 6
    assert rates.take("a", 106.25, 11.0) == 1 / 6.25, "not over the last 0.25 s, in which nothing was"
    assert rates.take("a", 112.0, 17.0) == 1.0
    assert rates.take("b", 112.0, 5.0) is None
    rates.keep(["b"])
    assert rates.take("a", 113.0, 17.0) is None


def test_a_count_that_begins_anew_is_no_negative_use():
    rates = Rates()
    rates.take("a", 100.0, 10.0)
    assert rates.take("a", 101.0, 0.5) == 0.0


def test_the_nodes_own_numbers(tmp_path):
    machine = Machine(tmp_path)
    cores = eventually(lambda: machine.stats()["cpu"].get("usageNanoCores"))
    stats = machine.stats()
    assert 0 < cores < stats["cpu"]["usageCoreNanoSeconds"]
    assert "." in stats["cpu"]["time"], "whole seconds are too coarse for those who divide by them"


def test_a_sum_does_not_fall_when_a_process_ends_unseen():
    sums = Sums()
    assert sums.take("a", 3.0) == 3.0
    assert sums.take("a", 5.0) == 5.0
    assert sums.take("a", 1.0) == 5.0, "a process of 4 s has ended"
    assert sums.take("a", 2.5) == 6.5
    sums.keep([])
    assert sums.take("a", 2.5) == 2.5


def test_a_container_that_has_just_ended_has_no_use():
    pid_max = 4194304  # the kernel's highest
    (mine,) = ProcessTimes().usage([{"id": "gone", "pid": pid_max}, {"id": "mine", "pid": os.getpid()}])
    assert (mine.id, mine.memory_bytes > 0, mine.cpu_seconds > 0) == ("mine", True, True)


def test_a_cgroup_knows_better_what_it_accounts_for(tmp_path):
    record = {"id": "mine", "pid": os.getpid(), "cgroup": str(tmp_path)}
    (tmp_path / "cpu.stat").write_text(
        "usage_usec 90000000000\nuser_usec 80000000000\nsystem_usec 10000000000\n"
    )
    (tmp_path / "memory.current").write_text("5000000\n")
    (tmp_path / "memory.stat").write_text("anon 3000000\nfile 2000000\ninactive_file 1500000\n")
    (mine,) = ProcessTimes().usage([record])
    assert (mine.cpu_seconds, mine.memory_bytes, mine.rss_bytes) == (90000.0, 3500000, 3000000)


def test_a_cgroup_without_the_controller_of_memory_leaves_memory_to_the_processes(tmp_path):
    record = {"id": "mine", "pid": os.getpid(), "cgroup": str(tmp_path)}
    (tmp_path / "cpu.stat").write_text("usage_usec 2500000\n")
    (mine,) = ProcessTimes().usage([record])
    (plain,) = ProcessTimes().usage([{**record, "cgroup": ""}])
    assert mine.cpu_seconds == 2.5
    assert mine.rss_bytes == pytest.approx(plain.rss_bytes, rel=0.5)
