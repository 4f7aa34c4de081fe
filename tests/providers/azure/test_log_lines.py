from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from virtual_kubelet.providers.azure.log_lines import Tracker, parse, since


def stamped(number, text="same words"):
    return f"2026-01-02T03:{number // 60:02d}:{number % 60:02d}.000000{number % 1000:03d}Z {text}\n"


def shown(lines):
    return "".join(line.raw for line in lines)


def test_a_line_has_a_time_or_not():
    lines = parse(
        "2026-01-02T03:04:05.123456789Z hello you\nno time\n2026-01-02T03:04:06Z\n2026-13-99T99:04:06Z x\n"
    )
    assert [(line.time, line.text) for line in lines] == [
        ("2026-01-02T03:04:05.123456789Z", "hello you\n"),
        ("", "no time\n"),
        ("2026-01-02T03:04:06Z", "\n"),
        ("", "2026-13-99T99:04:06Z x\n"),
    ]


def test_only_a_line_feed_ends_a_line():
    assert [line.raw for line in parse("a\rb\x0bc\u2028d\ne")] == ["a\rb\x0bc\u2028d\n", "e"]
    assert parse("") == []


def test_since():
    lines = parse(stamped(1) + stamped(2) + "its second line\n" + stamped(3))
    start = 1767322802.0  # 03:00:02
    assert shown(since(lines, start)) == stamped(2) + "its second line\n" + stamped(3)
    assert since(lines, start + 999) == []


@settings(max_examples=100)
@given(
    st.lists(st.sampled_from(["x", "y", ""]), max_size=60),
    st.lists(st.tuples(st.integers(0, 20), st.floats(0, 1)), max_size=12),
)
def test_following_shows_each_line_once_whatever_is_cut_off_at_the_front(texts, looks):
    """The log grows by some lines; a look shows it whole, or without its first lines, which are known."""
    log = [stamped(number, text) for number, text in enumerate(texts)]
    tracker, seen, written = Tracker(), [], 0
    for growth, share in looks:
        written = min(len(log), written + growth)
        first = int(max(0, len(seen) - 1) * share)
        news = tracker.fresh(parse("".join(log[first:written])))
        assert news is not None
        seen += [line.raw for line in news]
        assert seen == log[:written]


def test_lines_without_times_that_repeat_are_counted():
    tracker = Tracker()
    assert len(tracker.fresh(parse("a\na\na\n"))) == 3
    assert len(tracker.fresh(parse("a\na\na\na\na\n"))) == 2


def test_a_line_that_has_not_ended_is_held_back():
    tracker = Tracker()
    whole = stamped(1)
    assert tracker.fresh(parse(whole[:-5])) == []
    assert shown(tracker.fresh(parse(whole + stamped(2)[:-3]))) == whole
    assert shown(tracker.fresh(parse(whole + stamped(2)[:-3]), ended=True)) == stamped(2)[:-3]


def test_a_log_that_began_anew_is_told_by_its_times():
    tracker = Tracker()
    tracker.fresh(parse("".join(stamped(number) for number in range(5))))
    anew = parse(stamped(30) + stamped(31))
    assert tracker.fresh(anew) is None
    assert shown(tracker.newer(anew)) == stamped(30) + stamped(31)
    assert tracker.fresh(anew) == []


def test_what_is_skipped_is_known():
    tracker = Tracker()
    tracker.skip(parse(stamped(1) + stamped(2)))
    assert shown(tracker.fresh(parse(stamped(2) + stamped(3)))) == stamped(3)
