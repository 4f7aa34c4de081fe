"""What tests wait with."""

from __future__ import annotations

import pytest
from support.waiting import eventually


def test_the_first_true_value_is_returned():
    values = iter([0, "", "there"])
    assert eventually(lambda: next(values)) == "there"


def test_what_is_not_there_yet_is_not_true_yet():
    steps = iter([{}, {"items": []}, {"items": None}, {"items": ["a"]}])
    assert eventually(lambda: next(steps)["items"][0]) == "a"


def test_what_never_comes_is_told():
    with pytest.raises(AssertionError, match="never came true within 0 s") as caught:
        eventually(lambda: {}["name"], timeout=0)
    assert isinstance(caught.value.__cause__, KeyError)
    with pytest.raises(AssertionError, match="it stands still"):
        eventually(lambda: False, timeout=0, message=lambda: "it stands still")


def test_another_error_is_not_waited_for():
    with pytest.raises(ZeroDivisionError):
        eventually(lambda: 1 / 0)


def test_what_vanishes_while_it_is_looked_at_is_looked_at_again(tmp_path):
    looks = iter([tmp_path / "gone", tmp_path])
    assert eventually(lambda: next(looks).stat())
