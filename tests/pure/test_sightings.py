from __future__ import annotations

import pytest
from support.pods import make_pod

from virtual_kubelet.pure.sightings import Sightings, check

KEY = "default/web"
RUNS, ENDED = {"phase": "Running"}, {"phase": "Succeeded"}


def pod(uid="a", status=RUNS, name="web"):
    return make_pod(name, uid=uid, status=status)


def statuses(sightings, key=KEY):
    return {uid: sighting.status["phase"] for uid, sighting in sightings.of(key).items()}


def listed(*pods, **options):
    sightings = Sightings(patience=60)
    sightings.take_listing(pods, sightings.next_order(), 0)
    return sightings


def test_nothing_is_complete_before_a_listing():
    sightings = Sightings(patience=60)
    assert not sightings.complete
    assert sightings.absent_since("a") == 0
    sightings.take_listing([], sightings.next_order(), 0)
    assert sightings.complete
    assert sightings.absent_since("a") == 1


def test_a_listing_is_news_where_it_differs():
    sightings = listed(pod("a"), pod("b", name="other"))
    order = sightings.next_order()
    assert sightings.take_listing([pod("a"), pod("b", name="other")], order, 0) == []
    news = sightings.take_listing([pod("a", ENDED), pod("c", name="new")], sightings.next_order(), 0)
    assert sorted(news) == ["default/new", "default/other", KEY]
    assert statuses(sightings, "default/other") == {}


def test_two_pods_of_one_name_are_two():
    sightings = listed(pod("a", ENDED), pod("b"))
    assert statuses(sightings) == {"a": "Succeeded", "b": "Running"}
    assert len(sightings.all()) == 2


def test_a_listing_says_nothing_about_what_we_wrote_since_it_began():
    sightings = listed()
    order = sightings.next_order()
    sightings.wrote(pod("a"), now=0)
    assert sightings.take_listing([], order, 0) == []
    assert statuses(sightings) == {"a": "Pending"}


def test_a_pod_that_we_began_may_be_missing_for_a_while():
    sightings = listed()
    sightings.wrote(pod("a"), now=100)
    assert sightings.take_listing([], sightings.next_order(), 160) == []
    assert sightings.take_listing([], sightings.next_order(), 161) == [KEY]
    assert statuses(sightings) == {}


def test_a_pod_that_was_seen_once_may_not():
    sightings = listed()
    sightings.wrote(pod("a"), now=100)
    assert sightings.take_listing([pod("a")], sightings.next_order(), 101) == [KEY]
    assert sightings.take_listing([], sightings.next_order(), 102) == [KEY]


def test_a_change_of_ours_keeps_what_is_known():
    sightings = listed(pod("a"))
    order = sightings.next_order()
    sightings.wrote(pod("a"), now=0)
    assert sightings.take_listing([pod("a", ENDED)], order, 0) == []
    assert statuses(sightings) == {"a": "Running"}


def test_a_pushed_word_is_younger_than_a_listing_under_way():
    sightings = listed(pod("a"))
    order = sightings.next_order()
    assert sightings.hear("default", "web", "a", ENDED)
    assert not sightings.hear("default", "web", "a", ENDED)
    assert sightings.take_listing([pod("a")], order, 0) == []
    assert statuses(sightings) == {"a": "Succeeded"}


def test_a_pushed_word_about_a_stranger_makes_it_known():
    sightings = listed()
    assert sightings.hear("default", "web", "a", RUNS)
    assert sightings.of(KEY)["a"].metadata == {"namespace": "default", "name": "web", "uid": "a"}


def test_the_first_word_about_a_pod_of_ours_is_news_even_if_it_is_what_we_thought():
    sightings = listed()
    sightings.wrote(pod("a"), now=0)
    assert sightings.hear("default", "web", "a", {"phase": "Pending"})


def test_an_answer_to_a_question():
    sightings = listed(pod("a"))
    order = sightings.next_order()
    assert sightings.see(pod("a", ENDED), order)
    assert not sightings.see(pod("a"), order - 1), "an older answer"
    assert statuses(sightings) == {"a": "Succeeded"}


def test_a_no_is_an_answer():
    sightings = listed(pod("a"))
    order = sightings.next_order()
    sightings.miss(KEY, "a", order)
    assert statuses(sightings) == {}
    assert sightings.absent_since("a") == order
    assert not sightings.see(pod("a"), order - 1), "an answer from before"
    assert sightings.see(pod("a"), sightings.next_order())


def test_an_old_no_is_none():
    sightings = listed()
    order = sightings.next_order()
    sightings.wrote(pod("a"), now=0)
    sightings.miss(KEY, "a", order)
    assert statuses(sightings) == {"a": "Pending"}


def test_what_is_done_with_comes_back_only_with_a_new_listing():
    sightings = listed(pod("a"))
    order = sightings.next_order()
    sightings.forget(KEY, "a")
    sightings.take_listing([pod("a")], order, 0)
    assert statuses(sightings) == {}
    assert sightings.take_listing([pod("a")], sightings.next_order(), 0) == [KEY]
    assert statuses(sightings) == {"a": "Running"}
    assert sightings._absent == {}, "memory of the absent ends with a listing that is younger"


def test_the_providers_copy_is_kept_until_noted():
    sightings = listed(pod("a"))
    assert sightings.of(KEY)["a"].whole["spec"]["containers"]
    sightings.take_listing([pod("a", ENDED)], sightings.next_order(), 0)
    assert sightings.of(KEY)["a"].whole is not None
    sightings.note(KEY, "a")
    sightings.note(KEY, "unknown")
    assert sightings.of(KEY)["a"].whole is None
    sightings.take_listing([pod("a")], sightings.next_order(), 0)
    assert sightings.of(KEY)["a"].whole is None


@pytest.mark.parametrize("field", ["namespace", "name", "uid"])
def test_a_pod_without_identity(field):
    nameless = pod()
    del nameless["metadata"][field]
    with pytest.raises(ValueError, match=f"metadata.{field}"):
        check([pod(), nameless])
    check([pod()])


def test_a_no_about_a_pod_that_we_just_began_is_not_believed_when_patient():
    sightings = listed()
    sightings.wrote(pod("a"), now=100)
    sightings.miss(KEY, "a", sightings.next_order(), now=160)
    assert statuses(sightings) == {"a": "Pending"}
    sightings.miss(KEY, "a", sightings.next_order(), now=161)
    assert statuses(sightings) == {}
    sightings.wrote(pod("a"), now=200)
    sightings.miss(KEY, "a", sightings.next_order())
    assert statuses(sightings) == {}
