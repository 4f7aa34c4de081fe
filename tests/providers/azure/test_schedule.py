"""Which single reads are worth making."""

from __future__ import annotations

import pytest

from virtual_kubelet.providers.azure.entry import Entry
from virtual_kubelet.providers.azure.ownership import Identity
from virtual_kubelet.providers.azure.schedule import longest_interval, reading

MANY = 1000  # groups: so many are not read again at once without a reason
NOW = 1000.0


def group(state="Succeeded"):
    return {"name": "web", "properties": {"provisioningState": state, "instanceView": {"state": "Running"}}}


def entry(**changes):
    known = {
        "body": group(),
        "detail": group(),
        "detail_began": NOW - 1,
        "read_began": NOW - 1,
        "changed_at": NOW - 1,
        "status": {"phase": "Running"},
    }
    return Entry("web", Identity("ns", "web", "u"), began=NOW - 1, **{**known, **changes})


def test_what_was_seen_a_second_ago_is_not_read():
    assert reading(entry(), NOW, MANY) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"detail": None},
        {"detail": group("Creating")},
        {"written_at": NOW - 0.5},  # changed by us, and up again: what was seen is of before
        {"unlisted": True},
        {"doubtful": True},
    ],
)
def test_what_nobody_has_seen_yet_is_urgent(changes):
    due = reading(entry(**changes), NOW, MANY)
    assert due is not None
    assert due.urgent


@pytest.mark.parametrize(("reads", "after"), [(1, 1.0), (2, 2.0), (3, 4.0), (50, 30.0)])
def test_what_shows_no_view_is_asked_again_with_growing_pauses(reads, after):
    blind = entry(detail=None, blind_reads=reads, read_began=NOW)
    assert reading(blind, NOW + after - 0.1, MANY) is None
    assert reading(blind, NOW + after, MANY) is not None


@pytest.mark.parametrize(
    "changes", [{"removing": True}, {"told_by_list": True, "detail": None}, {"status": {"phase": "Failed"}}]
)
def test_what_needs_no_read(changes):
    assert reading(entry(**changes), NOW + 3600, MANY) is None


@pytest.mark.parametrize(("groups", "longest"), [(1, 0.5), (10, 5.0), (60, 30.0), (1000, 30.0)])
def test_few_groups_are_read_as_often_as_the_budget_allows(groups, longest):
    assert longest_interval(groups, 2.0) == longest
    quiet = entry(changed_at=NOW - 3600, detail_began=NOW)
    assert reading(quiet, NOW + longest - 0.1, 1, longest) is None
    assert reading(quiet, NOW + longest, 1, longest) is not None


def test_what_comes_up_is_read_for_its_events_now_and_then():
    coming = entry(body=group("Creating"))
    assert reading(coming, NOW, MANY) is None
    assert reading(coming, NOW + 10, MANY).urgent is False
