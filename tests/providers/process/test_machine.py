"""The machine's numbers, and averages over time."""

from __future__ import annotations

from support.waiting import eventually

from virtual_kubelet.providers.process.machine import Machine, Rates


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
