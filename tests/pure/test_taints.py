from __future__ import annotations

import pytest

from virtual_kubelet.pure.taints import is_for, parse_taint, tolerates, untolerated


@pytest.mark.parametrize(
    ("text", "taint"),
    [
        ("key", {"key": "key", "value": "", "effect": "NoSchedule"}),
        ("key=value", {"key": "key", "value": "value", "effect": "NoSchedule"}),
        ("key=", {"key": "key", "value": "", "effect": "NoSchedule"}),
        ("key:NoExecute", {"key": "key", "value": "", "effect": "NoExecute"}),
        ("example.com/key=v.1:PreferNoSchedule", {"key": "example.com/key", "value": "v.1", "effect": "PreferNoSchedule"}),
    ],
)  # fmt: skip
def test_taints_in_writing(text, taint):
    assert parse_taint(text) == taint


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", 'taint "": the key "" is not allowed: name part must be non-empty'),
        ("=v", 'taint "=v": the key "" is not allowed'),
        ("a b", 'taint "a b": the key "a b" is not allowed'),
        ("a=b=c", 'taint "a=b=c": the value "b=c" is not allowed'),
        ("a=b:", 'taint "a=b:": the effect "" is none of NoSchedule, PreferNoSchedule, NoExecute'),
        ("a:noschedule", 'taint "a:noschedule": the effect "noschedule" is none of NoSchedule'),
        ("a:NoSchedule:x", 'the effect "NoSchedule:x" is none of'),
    ],
)
def test_taints_refused(text, message):
    with pytest.raises(ValueError, match=message):
        parse_taint(text)


def taint(key="k", value="v", effect="NoSchedule"):
    return {"key": key, "value": value, "effect": effect}


@pytest.mark.parametrize(
    ("toleration", "expected"),
    [
        ({"key": "k", "operator": "Equal", "value": "v", "effect": "NoSchedule"}, True),
        ({"key": "k", "value": "v", "effect": "NoSchedule"}, True),
        ({"key": "k", "operator": "", "value": "v"}, True),
        ({"key": "k", "value": "w"}, False),
        ({"key": "k"}, False),
        ({"key": "j", "value": "v"}, False),
        ({"key": "k", "value": "v", "effect": "NoExecute"}, False),
        ({"key": "k", "operator": "Exists"}, True),
        ({"key": "j", "operator": "Exists"}, False),
        ({"operator": "Exists"}, True),
        ({"operator": "Exists", "effect": "NoSchedule"}, True),
        ({"operator": "Exists", "effect": "NoExecute"}, False),
        ({}, False),
        ({"value": "v"}, False),  # no key is for Exists alone
        ({"key": "k", "operator": "Bogus", "value": "v"}, False),
    ],
)
def test_tolerations(toleration, expected):
    assert tolerates([taint()], [toleration]) is is_for(toleration, taint()) is expected


@pytest.mark.parametrize(
    ("value", "operator", "bound", "expected"),
    [
        ("10", "Gt", "9", True),
        ("10", "Gt", "10", False),
        ("-1", "Lt", "0", True),
        ("10", "Lt", "9", False),
        ("x", "Lt", "9", False),
        ("1", "Lt", "x", False),
        ("01", "Lt", "9", False),
        ("1", "Lt", "", False),
    ],
)
def test_tolerations_that_compare_numbers(value, operator, bound, expected):
    toleration = {"key": "k", "operator": operator, "value": bound}
    assert tolerates([taint(value=value)], [toleration]) is expected
    assert not tolerates([taint(value=value)], [{"operator": operator, "value": bound}])


def test_which_effects_count():
    taints = [taint("a", effect="PreferNoSchedule"), taint("b"), taint("c", effect="NoExecute")]
    assert untolerated(taints, None) == taints[1]
    assert untolerated(taints, [], {"NoExecute"}) == taints[2]
    assert untolerated(taints, [{"key": "c", "operator": "Exists"}], {"NoExecute"}) is None
    assert (
        untolerated(taints, [{"key": "b", "operator": "Exists"}, {"key": "c", "operator": "Exists"}]) is None
    )
    assert untolerated(None, None) is None
    assert not tolerates(taints, [])
    assert tolerates(
        [{"key": "k", "effect": "NoSchedule"}], [{"key": "k", "value": ""}]
    )  # a value may be missing
