from __future__ import annotations

import pytest

from virtual_kubelet.pure.list_watch import PAGE_SIZE, STUCK, ListWatch, Outcome, Request

FIRST = Request(watch=False, version="0")
NEWEST = Request(watch=False, version="", limit=PAGE_SIZE)
NEWEST_WHOLE = Request(watch=False, version="", limit=None)


def watch(version):
    return Request(watch=True, version=version)


@pytest.fixture
def listed():
    state = ListWatch()
    state.list_ended(Outcome.DONE)
    state.saw("100")
    return state


def test_first_list_comes_from_the_cache_then_watch():
    state = ListWatch()
    assert state.next() == FIRST
    state.list_ended(Outcome.DONE)
    state.saw("100")
    assert state.next() == watch("100")
    assert state.pause(0.5) == 0


def test_a_watch_resumes_where_it_was(listed):
    listed.saw("107")
    listed.watch_ended(Outcome.DONE, lifetime=400)
    assert listed.next() == watch("107")
    assert listed.pause(0.9) == 0


@pytest.mark.parametrize("outcome", [Outcome.EXPIRED, Outcome.NONSENSE])
def test_after_410_the_newest_is_listed_in_pages(listed, outcome):
    listed.watch_ended(outcome, lifetime=400)
    assert listed.next() == NEWEST


def test_the_first_410_costs_no_wait_but_each_further_one_does(listed):
    pauses = []
    for _ in range(4):
        listed.watch_ended(Outcome.EXPIRED, lifetime=0.01)
        pauses.append(listed.pause(0.0))
        listed.list_ended(Outcome.DONE)
        assert listed.pause(0.0) == 0, "a list that worked is followed by its watch at once"
        listed.saw("100")
    assert pauses == [0, 0.8, 1.6, 3.2]


def test_a_first_list_at_a_version_that_is_too_large():
    state = ListWatch()
    state.list_ended(Outcome.EXPIRED)
    assert state.next() == NEWEST
    state.list_ended(Outcome.EXPIRED)  # a page was forgotten while we read the others
    assert state.next() == NEWEST_WHOLE
    state.list_ended(Outcome.DONE)
    state.saw("5")
    state.watch_ended(Outcome.EXPIRED, 0)
    assert state.next() == NEWEST


def test_a_first_list_that_fails_is_asked_again_as_it_was():
    state = ListWatch()
    state.list_ended(Outcome.REFUSED)
    assert state.next() == FIRST
    state.list_ended(Outcome.UNREACHABLE)
    assert state.next() == FIRST


def test_a_server_that_answers_with_errors_is_left_alone_for_longer_each_time(listed):
    pauses = []
    for _ in range(8):
        listed.watch_ended(Outcome.REFUSED, 0.0)
        pauses.append(listed.pause(0.0))
    assert pauses == [0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30, 30]
    assert listed.pause(0.999) < 60


def test_a_watch_closed_at_once_counts_as_a_failure(listed):
    pauses = []
    for _ in range(3):
        listed.watch_ended(Outcome.DONE, 0.01)
        pauses.append(listed.pause(0.0))
        assert listed.next() == watch("100")
    assert pauses == [0.8, 1.6, 3.2]


def test_a_server_that_is_away_is_tried_often(listed):
    pauses = []
    for _ in range(8):
        listed.watch_ended(Outcome.UNREACHABLE, 0.0)
        pauses.append(listed.pause(0.0))
        assert listed.next() == watch("100")
    assert pauses == [0.25, 0.5, 1, 2, 4, 5, 5, 5]


def test_a_long_refusal_does_not_delay_the_return_of_a_server_that_went_away(listed):
    for _ in range(3):
        listed.watch_ended(Outcome.REFUSED, 0.0)
    listed.watch_ended(Outcome.UNREACHABLE, 0.0)
    assert listed.pause(0.0) == 0.25


def test_a_healthy_watch_starts_the_back_off_afresh(listed):
    for _ in range(3):
        listed.watch_ended(Outcome.REFUSED, 0.0)
    listed.saw("101")
    listed.watch_ended(Outcome.REFUSED, 60.0)
    assert listed.pause(0.0) == 0.8


def test_a_version_that_is_refused_again_and_again_is_listed_anew(listed):
    for _ in range(STUCK - 1):
        listed.watch_ended(Outcome.REFUSED, 0.0)
        assert listed.next() == watch("100")
    listed.watch_ended(Outcome.REFUSED, 0.0)
    assert listed.next() == NEWEST


def test_progress_between_refusals_is_no_stuck_version(listed):
    for step in range(2 * STUCK):
        listed.saw(str(101 + step))
        listed.watch_ended(Outcome.REFUSED, 0.0)
    assert listed.next().watch


def test_a_server_that_comes_back_and_has_forgotten_is_listed_at_once(listed):
    for _ in range(5):
        listed.watch_ended(Outcome.UNREACHABLE, 0.0)
    listed.watch_ended(Outcome.EXPIRED, 0.0)
    assert listed.next() == NEWEST
    assert listed.pause(0.9) == 0


def test_breaking_and_forgetting_in_turn_is_not_hammered(listed):
    pauses = []
    for _ in range(6):
        listed.watch_ended(Outcome.UNREACHABLE, 0.0)
        pauses.append(listed.pause(0.0))
        listed.watch_ended(Outcome.EXPIRED, 0.0)
        pauses.append(listed.pause(0.0))
        listed.list_ended(Outcome.DONE)
        listed.saw("100")
    assert sum(pauses) > 20
