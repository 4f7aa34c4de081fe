from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtual_kubelet.pure import times

MOMENT = 1767323045.678901  # 2026-01-02T03:04:05.678901Z


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (MOMENT, "2026-01-02T03:04:05Z"),
        (MOMENT + 0.32, "2026-01-02T03:04:05Z"),  # cut off, not rounded
        (1767323045.999999, "2026-01-02T03:04:05Z"),
        (-0.5, "1969-12-31T23:59:59Z"),
        (-62135596800, "0001-01-01T00:00:00Z"),  # Go's zero time
    ],
)
def test_rfc3339_has_whole_seconds(seconds, expected):
    assert times.rfc3339(seconds) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (MOMENT, "2026-01-02T03:04:05.678901Z"),
        (1767323045, "2026-01-02T03:04:05.000000Z"),
        (1767323045.5, "2026-01-02T03:04:05.500000Z"),
    ],
)
def test_micro_time_has_exactly_six_digits(seconds, expected):
    assert times.micro_time(seconds) == expected


def test_nano_has_nine_digits():
    assert times.rfc3339_nano(MOMENT) == "2026-01-02T03:04:05.678901000Z"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01T00:00:00Z", 0.0),
        ("2026-01-02T03:04:05Z", 1767323045.0),
        ("2026-01-02t03:04:05z", 1767323045.0),
        ("2026-01-02T03:04:05.5Z", 1767323045.5),
        ("2026-01-02T03:04:05.123456789Z", 1767323045.123456789),
        ("2026-01-02T03:04:05.1234567890123Z", 1767323045.1234567890123),
        ("2026-01-02T05:04:05+02:00", 1767323045.0),
        ("2026-01-01T21:34:05.25-05:30", 1767323045.25),
        ("2026-01-02T03:04:05+00:00", 1767323045.0),
        ("0001-01-01T00:00:00Z", -62135596800.0),
        ("0001-01-01T00:00:00+01:00", -62135600400.0),  # before what datetime can hold
    ],
)
def test_parse_takes_any_fraction_and_offset(text, expected):
    assert times.parse(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2026-01-02",
        "2026-01-02T03:04:05",
        "2026-01-02 03:04:05Z",
        "2026-01-02T03:04:05.Z",
        "2026-01-02T03:04:05+0200",
        "2026-01-02T03:04:05+24:00",
        "2026-01-02T03:04:05+02:60",
        "2026-13-02T03:04:05Z",
        "2026-02-30T03:04:05Z",
        "2026-01-02T25:04:05Z",
        "2026-01-02T03:04:60Z",
        "2026-01-02T03:04:05Z\n",
        "٢٠٢٦-01-02T03:04:05Z",
    ],
)
def test_parse_refuses_what_is_no_time_and_names_it(text):
    with pytest.raises(ValueError) as caught:
        times.parse(text)
    assert repr(text) in str(caught.value)


def test_micro_time_is_read_as_strictly_as_the_api_server_reads_it():
    assert times.parse_micro_time("2026-01-02T03:04:05.500000Z") == 1767323045.5
    assert times.parse_micro_time("2026-01-02T05:04:05.500000+02:00") == 1767323045.5
    for text in ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05.5Z", "2026-01-02T03:04:05.5000000Z", "soon"):
        with pytest.raises(ValueError, match=text.replace("+", r"\+")):
            times.parse_micro_time(text)


@given(st.integers(min_value=-62135596800, max_value=253402300799))
def test_whole_seconds_round_trip(seconds):
    assert times.parse(times.rfc3339(seconds)) == seconds


@given(st.integers(min_value=0, max_value=4_000_000_000), st.integers(min_value=0, max_value=999_999))
def test_microseconds_round_trip(seconds, micros):
    text = times.micro_time(seconds + micros / 1e6)
    assert times.parse_micro_time(text) == pytest.approx(seconds + micros / 1e6, abs=2e-6)
