"""The machine's numbers, and averages over time."""

from __future__ import annotations

import os

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
    (mine,) = ProcessTimes().usage({"gone": pid_max, "mine": os.getpid()})
    assert (mine.id, mine.memory_bytes > 0, mine.cpu_seconds > 0) == ("mine", True, True)
