"""Lists that fail are tried again, and by one chain of tries only."""

from __future__ import annotations

import pytest

from virtual_kubelet.errors import Unavailable
from virtual_kubelet.podruntime.inventory import RETRY, Inventory
from virtual_kubelet.runtime.clock import SteppedClock


class Away:
    def list_containers(self):
        raise Unavailable("the engine is away")


def test_however_many_lists_fail_one_more_is_asked_for():
    planned, asked = [], []
    inventory = Inventory(
        Away(), None, SteppedClock(0), lambda seconds, call: planned.append((seconds, call))
    )
    for _ in range(3):
        with pytest.raises(Unavailable):
            inventory.take(lambda: asked.append(1))
    ((seconds, call),) = planned
    assert (seconds, asked) == (RETRY, [])
    call()
    assert asked == [1]
    with pytest.raises(Unavailable):
        inventory.take(lambda: asked.append(1))
    assert len(planned) == 2
