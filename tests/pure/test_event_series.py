from __future__ import annotations

from virtual_kubelet.pure.event_series import EventSeries, Occurrence, Subject

POD = Subject("Pod", "ns", "web", "uid-1", "v1")


def happened(message="m", reason="BackOff", subject=POD, kind="Warning"):
    return Occurrence(subject, kind, reason, message)


def test_the_first_is_created_and_the_next_is_counted():
    series = EventSeries()
    first = series.observe(happened(), 100.0)
    assert (first.name, first.count, first.first, first.last) == (None, 1, 100.0, 100.0)
    series.written(first.key, "web.1")
    second = series.observe(happened(), 160.0)
    assert (second.name, second.count, second.first, second.last) == ("web.1", 2, 100.0, 160.0)


def test_other_messages_reasons_objects_and_fields_are_other_series():
    series = EventSeries()
    field = POD._replace(field_path="spec.containers{main}")
    for other in (
        happened(),
        happened("n"),
        happened(reason="Failed"),
        happened(kind="Normal"),
        happened(subject=POD._replace(uid="uid-2")),
        happened(subject=field),
    ):
        verdict = series.observe(other, 0.0)
        assert verdict.count == 1
        series.written(verdict.key, "x")


def test_an_event_that_could_not_be_written_is_created_with_its_count():
    series = EventSeries()
    series.observe(happened(), 0.0)
    verdict = series.observe(happened(), 1.0)
    assert (verdict.name, verdict.count) == (None, 2)


def test_a_lost_event_is_created_anew():
    series = EventSeries()
    verdict = series.observe(happened(), 0.0)
    series.written(verdict.key, "web.1")
    series.lost(verdict.key)
    assert series.observe(happened(), 1.0).name is None


def test_ten_different_messages_become_one():
    series = EventSeries()
    verdicts = [series.observe(happened(f"port {n}"), float(n)) for n in range(12)]
    assert [v.message for v in verdicts[:9]] == [f"port {n}" for n in range(9)]
    assert verdicts[9].message == "(combined from similar events): port 9"
    assert verdicts[9].count == 1
    assert verdicts[11].message == "(combined from similar events): port 11"
    assert verdicts[11].count == 3
    assert verdicts[9].key == verdicts[11].key


def test_the_combination_ends_after_ten_quiet_minutes():
    series = EventSeries()
    for n in range(12):
        series.observe(happened(f"port {n}"), 0.0)
    assert series.observe(happened("port x"), 601.0).message == "port x"


def test_too_many_about_one_object_are_left_out():
    series = EventSeries()
    written = [series.observe(happened(reason=f"R{n}"), 0.0) for n in range(30)]
    assert sum(v is not None for v in written) == 25
    assert series.observe(happened(subject=POD._replace(name="other")), 0.0) is not None
    assert series.observe(happened(reason="R99"), 299.0) is None
    assert series.observe(happened(reason="R99"), 301.0).count == 2


def test_the_memory_is_bounded():
    series = EventSeries()
    for n in range(6000):
        series.observe(happened(subject=POD._replace(uid=str(n))), 0.0)
    assert len(series._series) == len(series._budgets) == len(series._aggregates) == 4096
