from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from virtual_kubelet.pure.quantity import ZERO, Format, Quantity, parse

LARGEST = 2**63 - 1


@pytest.mark.parametrize(
    ("text", "number", "canonical"),
    [
        ("0", "0", "0"),
        ("0.0", "0", "0"),
        ("-0", "0", "0"),
        ("0Ki", "0", "0"),
        ("0e99", "0", "0"),
        ("1", "1", "1"),
        ("+1", "1", "1"),
        ("-1", "-1", "-1"),
        ("007", "7", "7"),
        ("1.", "1", "1"),
        (".5", "0.5", "500m"),
        ("0.5", "0.5", "500m"),
        ("-1.5", "-1.5", "-1500m"),
        ("100m", "0.1", "100m"),
        ("1000m", "1", "1"),
        ("1500m", "1.5", "1500m"),
        ("1n", "0.000000001", "1n"),
        ("1u", "0.000001", "1u"),
        ("1000u", "0.001", "1m"),
        ("1k", "1000", "1k"),
        ("1000", "1000", "1k"),
        ("1024", "1024", "1024"),
        ("1M", "1000000", "1M"),
        ("1G", "1000000000", "1G"),
        ("1T", "1000000000000", "1T"),
        ("1P", "1000000000000000", "1P"),
        ("1E", "1000000000000000000", "1E"),
        ("1.5k", "1500", "1500"),
        ("1Ki", "1024", "1Ki"),
        ("1Mi", "1048576", "1Mi"),
        ("1Gi", "1073741824", "1Gi"),
        ("1Ti", "1099511627776", "1Ti"),
        ("1Pi", "1125899906842624", "1Pi"),
        ("1Ei", "1152921504606846976", "1Ei"),
        ("1024Mi", "1073741824", "1Gi"),
        ("1025Ki", "1049600", "1025Ki"),
        ("1.5Gi", "1610612736", "1536Mi"),
        ("-1.5Gi", "-1610612736", "-1536Mi"),
        ("1.1Gi", "1181116006.4", "1181116006400m"),  # binary would not be exact
        ("0.5Ki", "512", "512"),  # below 1024: decimal
        ("0.1Ki", "102.4", "102400m"),
        ("-0.5Ki", "-512", "-512"),
        ("1e3", "1000", "1e3"),
        ("1E3", "1000", "1e3"),
        ("1e+3", "1000", "1e3"),
        ("1e-3", "0.001", "1e-3"),
        ("12E6", "12000000", "12e6"),
        ("100e0", "100", "100"),
        ("1e2", "100", "100"),
        ("1e4", "10000", "10e3"),
        ("1.5e3", "1500", "1500"),
        # too fine: rounded away from zero
        ("0.1n", "0.000000001", "1n"),
        ("-0.1n", "-0.000000001", "-1n"),
        ("1.0000000001", "1.000000001", "1000000001n"),
        ("1e-999999999999999999", "0.000000001", "1e-9"),
        # too large: capped
        ("9223372036854775808", str(LARGEST), str(LARGEST)),
        ("10Ei", str(LARGEST), str(LARGEST)),
        ("-10E", str(-LARGEST), str(-LARGEST)),
        ("1e999999999999999999", str(LARGEST), str(LARGEST)),
    ],
)
def test_numbers_and_canonical_forms(text, number, canonical):
    quantity = parse(text)
    assert quantity.decimal == Decimal(number)
    assert str(quantity) == canonical


@pytest.mark.parametrize(
    "garbage",
    [
        *(
            "",
            " ",
            ".",
            "+",
            "-",
            "1 ",
            " 1",
            "1\n",
            "m",
            "1mm",
            "1Kii",
            "1K",
            "1ki",
            "1mi",
            "1e",
            "1e1.5",
            "1e3m",
        ),
        *(
            "--1",
            "1..5",
            "1,5",
            "1_000",
            "0x10",
            "NaN",
            "inf",
            "½",
            "١",
            "1ei",
            "1e",
            "1e+",
            "one",
            "1" * 257,
        ),
    ],
)
def test_garbage_is_refused_and_named(garbage):
    with pytest.raises(ValueError, match="is not a quantity such as") as caught:
        parse(garbage)
    assert repr(garbage)[:80] in str(caught.value)


def test_a_long_complaint_is_cut():
    with pytest.raises(ValueError) as caught:
        parse("x" * 1_000_000)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("garbage", [None, True, [], {}, b"1", float("nan"), float("inf")])
def test_other_types_are_refused(garbage):
    with pytest.raises(ValueError, match="is not a quantity"):
        parse(garbage)


@pytest.mark.parametrize(
    ("number", "canonical"),
    [(2, "2"), (2000, "2k"), (-1, "-1"), (0.5, "500m"), (1e-07, "100e-9"), (1e22, str(LARGEST))],
)
def test_json_numbers(number, canonical):
    assert str(parse(number)) == canonical


@pytest.mark.parametrize(
    ("text", "value", "milli"),
    [
        ("1", 1, 1000),
        ("1m", 1, 1),
        ("1n", 1, 1),
        ("1001m", 2, 1001),
        ("-1500m", -1, -1500),
        ("-1n", 0, 0),
        ("1Ki", 1024, 1024000),
    ],
)
def test_units_are_rounded_up(text, value, milli):
    assert parse(text).value == value
    assert parse(text).milli == milli


def test_float():
    assert float(parse("1500m")) == 1.5
    assert float(parse("2Ki")) == 2048.0


@pytest.mark.parametrize(
    ("quantity", "divisor", "times"),
    [("1500m", "1", 2), ("1500m", "1m", 1500), ("1Gi", "1Mi", 1024), ("1Gi", "1M", 1074), ("0", "1", 0)],
)
def test_divided(quantity, divisor, times):
    assert parse(quantity).divided(parse(divisor)) == times


def test_dividing_by_nothing():
    with pytest.raises(ZeroDivisionError):
        parse("1").divided(ZERO)


def test_order_and_equality_are_by_number():
    assert parse("1000m") == parse("1") == parse("1e0") == parse("0.0009765625Ki")
    assert hash(parse("1000m")) == hash(parse("1"))
    assert parse("999m") < parse("1") < parse("1Ki") < parse("1025")
    assert max(parse("1Gi"), parse("1G")) == parse("1Gi")
    assert not ZERO
    assert parse("1n")


@pytest.mark.parametrize(
    ("left", "right", "total"),
    [
        ("1Gi", "512Mi", "1536Mi"),
        ("1", "500m", "1500m"),
        ("1Ki", "1k", "2024"),
        ("1k", "1Ki", "2024"),
        ("1", "-1", "0"),
    ],
)
def test_sums(left, right, total):
    assert str(parse(left) + parse(right)) == total


def test_a_sum_is_written_as_its_first_part_that_is_not_zero():
    assert str(sum([parse("1Gi"), parse("1Gi")], ZERO)) == "2Gi"
    assert (parse("1Gi") + parse("1G")).written is Format.BINARY_SI
    assert str(ZERO - parse("1Gi")) == str(-parse("1Gi")) == "-1Gi"
    assert str(parse("1Gi") - parse("512Mi")) == "512Mi"


def test_made_from_numbers():
    assert str(Quantity.of(3)) == "3"
    assert str(Quantity.of(2**31, Format.BINARY_SI)) == "2Gi"
    assert str(Quantity.of_milli(250)) == "250m"
    assert str(Quantity.of_milli(2000, Format.DECIMAL_EXPONENT)) == "2"


def test_a_sum_past_the_largest_suffix_is_still_written_exactly():
    assert str(parse("9E") + parse("991E")) == f"{9 * 10**18 + LARGEST}"
    assert str(Quantity.of(1000 * 10**18)) == "1000E"
    assert str(Quantity.of(2**80, Format.BINARY_SI)) == f"{2**20}Ei"


amounts = st.integers(min_value=-LARGEST * 10**9, max_value=LARGEST * 10**9)
quantities = st.builds(Quantity, amounts, st.sampled_from(Format))


@given(quantities)
@example(Quantity(LARGEST * 10**9, Format.BINARY_SI))
@example(Quantity.of(5000, Format.BINARY_SI))
def test_the_canonical_form_is_the_same_number_and_its_own_canonical_form(quantity):
    text = str(quantity)
    again = parse(text)
    assert again == quantity
    assert "." not in text
    # 5000, when it is the sum of two binary ones, is written without a suffix, and read as a decimal one.
    assert str(again) == text or (quantity.written is Format.BINARY_SI and text[-1].isdigit())


@given(quantities, quantities)
def test_order_is_that_of_the_numbers(left, right):
    assert (left < right) == (left.decimal < right.decimal)
    assert (left == right) == (left.decimal == right.decimal)
    assert (left + right).decimal == left.decimal + right.decimal
    assert (left - right).nanos == left.nanos - right.nanos


@given(
    st.decimals(min_value=-(10**9), max_value=10**9, places=9),
    st.sampled_from(["n", "u", "m", "", "k", "M", "G"]),
)
def test_decimals_with_suffixes_are_exact_or_rounded_away_from_zero(number, suffix):
    scale = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9}[suffix]
    exact = number.scaleb(scale)
    got = parse(f"{number:f}{suffix}").decimal
    assert abs(got) >= abs(exact)
    assert abs(got - exact) < Decimal("1e-9")


@given(st.text(max_size=12))
def test_any_text_is_a_quantity_or_refused_with_a_value_error(text):
    try:
        quantity = parse(text)
    except ValueError:
        return
    assert parse(str(quantity)) == quantity
