from __future__ import annotations

import pytest

from virtual_kubelet.pure.patches.json_values import same, without_nulls


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        (1, 1, True),
        (1, 1.0, True),
        (1, True, False),
        (0, False, False),
        (None, None, True),
        (None, False, False),
        ("a", "a", True),
        ([1, [True]], [1, [True]], True),
        ([1, [True]], [1, [1]], False),
        ([1], [1, 2], False),
        ([], {}, False),
        ({}, [], False),
        ({}, None, False),
        ({"a": {"b": 1}}, {"a": {"b": 1}}, True),
        ({"a": {"b": 1}}, {"a": {"b": True}}, False),
        ({"a": 1}, {"b": 1}, False),
    ],
)
def test_same(left, right, expected):
    assert same(left, right) is expected
    assert same(right, left) is expected


def test_without_nulls():
    assert without_nulls({"a": None, "b": {"c": None, "d": [None, {"e": None}]}}) == {
        "b": {"d": [None, {"e": None}]}
    }
    assert without_nulls([None]) == [None]
    assert without_nulls(1) == 1
