from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtual_kubelet.pure.expansion import command_line, expand, names_in

VALUES = {"A": "1", "B": "2", "EMPTY": "", "NESTED": "$(A)", "a.b-c": "3", "": "nothing"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("plain", "plain"),
        ("$(A)", "1"),
        ("x$(A)y$(B)z", "x1y2z"),
        ("$(A)$(A)", "11"),
        ("$(EMPTY)", ""),
        ("$(a.b-c)", "3"),
        ("$(NESTED)", "$(A)"),  # not looked at again
        ("$(UNKNOWN)", "$(UNKNOWN)"),
        ("$(A", "$(A"),
        ("$(A$(B)", "$(A$(B)"),
        ("$(A)$(", "1$("),
        ("$()", "nothing"),
        ("$", "$"),
        ("$$", "$"),
        ("$$$", "$$"),
        ("$$$$", "$$"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$1"),
        ("$$$$(A)", "$$(A)"),
        ("$A ${A} $-(A)", "$A ${A} $-(A)"),
        ("$ (A)", "$ (A)"),
        ("a$", "a$"),
        ("$\n(A)$(\n)", "$\n(A)$(\n)"),
        ("$((A)", "$((A)"),
        ("$(A))", "1)"),
        ("$($$)", "$($$)"),
    ],
)
def test_expand(text, expected):
    assert expand(text, VALUES) == expected


def test_names_in():
    assert names_in("$(A) $$(B) $$$(C) $() $(A) $D $(E") == {"A", "C"}


def test_command_line():
    container = {"name": "c", "command": ["sh", "-c", "echo $(A) $$(B)"], "args": ["$(B)", "$(X)"]}
    assert command_line(container, VALUES) == (["sh", "-c", "echo 1 $(B)"], ["2", "$(X)"])
    assert command_line({"name": "c", "command": None}, VALUES) == ([], [])


@given(st.text("$()AB ", max_size=20))
def test_doubling_every_dollar_keeps_any_text_as_it_is(text):
    assert expand(text.replace("$", "$$"), VALUES) == text


@given(st.lists(st.sampled_from(["$(A)", "$(B)", "$$", "x", "$(UNKNOWN)"]), max_size=6))
def test_parts_are_replaced_one_by_one(parts):
    assert expand("".join(parts), VALUES) == "".join(expand(part, VALUES) for part in parts)
