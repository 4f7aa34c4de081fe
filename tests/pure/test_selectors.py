from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtual_kubelet.pure.selectors import (
    FieldSelector,
    FieldTerm,
    LabelSelector,
    Operator,
    Requirement,
    escape_field_value,
    field_selector,
    from_label_selector,
    label_selector,
)

LABELS = {"app": "web", "tier": "front", "empty": "", "in": "x", "build": "12"}


@pytest.mark.parametrize(
    ("text", "selected"),
    [
        ("", True),
        ("  ", True),
        ("app", True),
        ("!app", False),
        ("gone", False),
        ("!gone", True),
        ("! gone", True),
        ("app=web", True),
        ("app==web", True),
        ("app = web", True),
        ("app=db", False),
        ("gone=web", False),
        ("app!=db", True),
        ("app!=web", False),
        ("gone!=web", True),
        ("empty=", True),
        ("app=", False),
        ("gone=", False),
        ("empty=,app=web", True),
        ("empty!=", False),
        ("app in (web)", True),
        ("app in (db, web)", True),
        ("app in (db)", False),
        ("gone in (web)", False),
        ("empty in ()", True),
        ("empty in (,)", True),
        ("empty in (a,)", True),
        ("empty in (,a)", True),
        ("app notin (db)", True),
        ("app notin (web,db)", False),
        ("gone notin (web)", True),
        ("in", True),
        ("in=x", True),
        ("in in (x)", True),
        ("tier in (in,front)", True),
        ("tier=in", False),
        ("build>11", True),
        ("build>12", False),
        ("build < 13", True),
        ("build<12", False),
        ("gone>1", False),
        ("app>1", False),
        ("app=web,tier=front", True),
        ("app=web, tier=back", False),
        ("app\tin\n(web)", True),
        ("app=web,!gone,tier in (front),build>1", True),
    ],
)
def test_label_selectors(text, selected):
    assert label_selector(text).matches(LABELS) is selected


def test_objects_without_labels():
    assert label_selector("!app").matches(None)
    assert not label_selector("app").matches(None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (",", "found ',', expected: identifier"),
        ("a,", "found '', expected: identifier"),
        ("a,,b", "found ',', expected: identifier"),
        ("=a", "found '=', expected: identifier"),
        ("!", "found '', expected: identifier"),
        ("!!a", "found '!', expected: identifier"),
        ("a b", "found 'b', expected: in, notin, =, ==, !=, >, <"),
        ("a!", "found '!', expected: in, notin, =, ==, !=, >, <"),
        ("!a=b", "found '=', expected: ',' or 'end of string'"),
        ("a=b c", "found 'c', expected: ',' or 'end of string'"),
        ("a==(b)", r"found '\(', expected: identifier"),
        ("a=!b", "found '!', expected: identifier"),
        ("a in b", r"found 'b', expected: '\('"),
        ("a in", r"found '', expected: '\('"),
        ("a in (b", r"found '', expected: ',' or '\)'"),
        ("a in (", "found '', expected: identifier"),
        ("a in (b c)", r"found 'c', expected: ',' or '\)'"),
        ("a in (b=c)", r"found '=', expected: ',' or '\)'"),
        ("a in (!)", "found '!', expected: identifier"),
        ("a>b", "'Gt', 'Lt' operators, the value must be an integer"),
        ("a<", "'Gt', 'Lt' operators, the value must be an integer"),
        ("_a=b", 'key: Invalid value: "_a": name part must consist of'),
        ("a/b/c", 'key: Invalid value: "a/b/c": a valid label key must consist of'),
        ("a=-b", r'values\[0\]\[a\]: Invalid value: "-b": a valid label must be'),
        ("a in (b,-c)", r'values\[1\]\[a\]: Invalid value: "-c": a valid label must be'),
    ],
)
def test_label_selectors_refused(text, message):
    with pytest.raises(ValueError, match=f"unable to parse requirement: .*{message}"):
        label_selector(text)


def test_the_text_of_a_label_selector_is_sorted():
    assert str(label_selector("z,b in (y,x,y) , a==1,!c,d notin (q),e>1,f<2,g!=h")) == (
        "a=1,b in (x,y),!c,d notin (q),e>1,f<2,g!=h,z"
    )


@pytest.mark.parametrize(
    ("selector", "selected"),
    [
        ({}, True),
        ({"matchLabels": None, "matchExpressions": None}, True),
        ({"matchLabels": {"app": "web"}}, True),
        ({"matchLabels": {"app": "web", "tier": "back"}}, False),
        ({"matchExpressions": [{"key": "app", "operator": "In", "values": ["web", "db"]}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["web"]}]}, False),
        ({"matchExpressions": [{"key": "app", "operator": "Exists"}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "DoesNotExist", "values": []}]}, False),
        ({"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "gone", "operator": "Exists"}]}, False),
    ],
)
def test_label_selectors_of_objects(selector, selected):
    assert from_label_selector(selector).matches(LABELS) is selected


def test_no_label_selector_at_all_is_told_apart_from_an_empty_one():
    assert from_label_selector(None) is None
    assert from_label_selector({}) == LabelSelector()


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ({"key": "a"}, '"" is not a valid label selector operator'),
        ({"key": "a", "operator": "Gt", "values": ["1"]}, '"Gt" is not a valid label selector operator'),
        ({"key": "a", "operator": "In"}, "values set can't be empty"),
        ({"key": "a", "operator": "Exists", "values": ["b"]}, "values set must be empty"),
        ({"operator": "Exists"}, 'key: Invalid value: ""'),
    ],
)
def test_label_selectors_of_objects_refused(expression, message):
    with pytest.raises(ValueError, match=message):
        from_label_selector({"matchExpressions": [expression]})


keys = st.sampled_from(["a", "b-c", "x.io/y", "in", "notin", "A_1"])
values = st.sampled_from(["", "v", "A_b.c-9", "in", "notin", "0"])


@st.composite
def requirements(draw):
    operator = draw(st.sampled_from(Operator))
    if operator in {Operator.EXISTS, Operator.DOES_NOT_EXIST}:
        chosen = ()
    elif operator in {Operator.GREATER_THAN, Operator.LESS_THAN}:
        chosen = (str(draw(st.integers(min_value=0))),)
    elif operator in {Operator.IN, Operator.NOT_IN}:
        chosen = tuple(sorted(draw(st.sets(values, min_size=1, max_size=4))))
    else:
        chosen = (draw(values),)
    return Requirement(draw(keys), operator, chosen)


@given(st.lists(requirements(), max_size=5, unique_by=lambda requirement: requirement.key))
def test_label_selectors_round_trip(chosen):
    chosen = LabelSelector(tuple(sorted(chosen, key=lambda requirement: requirement.key)))
    # A set of one empty value is written "x in ()", which reads as just that.
    assert label_selector(str(chosen)) == chosen


@given(st.text(alphabet="ab=!,()<> in", max_size=20))
def test_any_text_is_a_label_selector_or_refused(text):
    try:
        selector = label_selector(text)
    except ValueError:
        return
    assert label_selector(str(selector)).matches(LABELS) == selector.matches(LABELS)


FIELDS = {"metadata.name": "web", "spec.nodeName": "n1", "odd": "a,b=c\\d"}


@pytest.mark.parametrize(
    ("text", "selected"),
    [
        ("", True),
        (",", True),
        ("metadata.name=web", True),
        ("metadata.name==web", True),
        ("metadata.name=db", False),
        ("metadata.name!=db", True),
        ("metadata.name!=web", False),
        ("metadata.name=web,spec.nodeName=n1", True),
        ("metadata.name=web,spec.nodeName!=n1", False),
        (",metadata.name=web,", True),
        ("spec.nodeName=", False),
        ("status.phase=", True),
        ("status.phase!=Failed", True),
        ("odd=a\\,b\\=c\\\\d", True),
        ("odd!=a\\,b\\=c\\\\d", False),
        ("odd=a\\,b", False),
    ],
)
def test_field_selectors(text, selected):
    assert field_selector(text).matches(FIELDS) is selected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a", "invalid selector: 'a'; can't understand 'a'"),
        ("a=b,c", "invalid selector: 'a=b,c'; can't understand 'c'"),
        ("a!b", "can't understand 'a!b'"),
        ("a=b=c", "invalid field selector: 'b=c' has an escape"),
        ("a=\\b", "invalid field selector: '\\b' has an escape"),
        ("a=b\\", "invalid field selector: 'b\\' has an escape"),
    ],
)
def test_field_selectors_refused(text, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        field_selector(text)


def test_the_text_of_a_field_selector():
    assert str(field_selector("a==b,,c!=d\\,e")) == "a=b,c!=d\\,e"
    assert escape_field_value("a,b=c\\") == "a\\,b\\=c\\\\"


field_terms = st.builds(
    FieldTerm,
    st.sampled_from(["a", "metadata.name", "spec.nodeName"]),
    st.booleans(),
    st.text("ab=!,\\ é\n", max_size=8),
)


@given(st.lists(field_terms, max_size=4))
def test_field_selectors_round_trip(terms):
    selector = FieldSelector(tuple(terms))
    assert field_selector(str(selector)) == selector


@given(st.text(alphabet="ab=!,\\", max_size=12))
def test_any_text_is_a_field_selector_or_refused(text):
    try:
        selector = field_selector(text)
    except ValueError:
        return
    assert field_selector(str(selector)) == selector
