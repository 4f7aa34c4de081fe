from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtual_kubelet.pure.patches import PatchError
from virtual_kubelet.pure.patches.element_order import put_in_order


@pytest.mark.parametrize(
    ("items", "order", "before", "expected"),
    [
        ("abc", "ca", "abc", "bca"),
        ("ab", "b", "", "ba"),
        ("axb", "ab", "axbz", "axb"),  # z is gone by now
    ],
)
def test_put_in_order(items, order, before, expected):
    scalars = put_in_order(list(items), order=list(order), before=list(before), changes=[], key="", path="p")
    assert "".join(scalars) == expected

    def keyed(names):
        return [{"k": name} for name in names]

    objects = put_in_order(
        keyed(items), order=keyed(order), before=keyed(before), changes=[], key="k", path="p"
    )
    assert objects == keyed(expected)


def test_changes_keep_to_the_order_wished():
    delete = {"k": "z", "$patch": "delete"}
    ordered = put_in_order(
        [{"k": "a"}], order=[{"k": "a"}], before=[], changes=[delete, {"k": "a"}], key="k", path="p"
    )
    assert ordered == [{"k": "a"}]
    with pytest.raises(PatchError, match="p: the order in patch list"):
        put_in_order(["a", "b"], order=["a", "b"], before=[], changes=["b", "a"], key="", path="p")
    with pytest.raises(PatchError, match="p: a list and its"):
        put_in_order(["a"], order="a", before=[], changes=[], key="", path="p")


orders = st.permutations("abcdef").flatmap(lambda order: st.integers(0, 6).map(lambda count: order[:count]))


@given(orders, st.permutations("abcdefgh"))
def test_nothing_is_lost_and_both_orders_hold(wished, before):
    merged = put_in_order(list(before), order=wished, before=list(before), changes=[], key="", path="p")
    assert sorted(merged) == sorted(before)
    assert [name for name in merged if name in wished] == list(wished)
    assert [name for name in merged if name not in wished] == [name for name in before if name not in wished]
