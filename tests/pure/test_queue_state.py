from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from virtual_kubelet.pure.queue_state import MIN_COMPACT, QueueState

KEYS = st.sampled_from("abcdef")


def drain(state, now):
    taken = []
    while (found := state.take(now)) is not None:
        taken.append(found.key)
        state.done(found.key, now)
    return taken


def test_keys_come_in_the_order_of_their_times():
    state = QueueState()
    state.add("late", 3.0, 0.0)
    state.add("first", 1.0, 0.0)
    state.add("second", 1.0, 0.0)
    state.add("now", 0.0, 0.0)
    assert drain(state, 0.0) == ["now"]
    state.add("after", 5.0, 5.0)
    assert drain(state, 5.0) == ["first", "second", "late", "after"]


@pytest.mark.parametrize(("first", "second", "due"), [(5.0, 2.0, 2.0), (2.0, 5.0, 2.0), (2.0, 2.0, 2.0)])
def test_an_earlier_time_wins(first, second, due):
    state = QueueState()
    state.add("key", first, 0.0)
    state.add("key", second, 0.0)
    assert len(state) == 1
    assert state.next_due() == due
    assert state.take(due - 0.01) is None
    assert state.take(due).key == "key"
    assert len(state) == 0


def test_a_ready_key_keeps_its_place():
    state = QueueState()
    state.add("a", 0.0, 0.0)
    state.add("b", 0.0, 0.0)
    state.add("a", 0.0, 1.0)
    assert state.take(1.0) == ("a", 0.0)
    assert state.take(1.0) == ("b", 0.0)


def test_a_key_in_hand_comes_back_once():
    state = QueueState()
    state.add("key", 0.0, 0.0)
    state.take(0.0)
    state.add("key", 9.0, 1.0)
    state.add("key", 1.0, 1.0)
    assert state.take(1.0) is None
    assert len(state) == 0
    assert state.in_hand == 1
    state.done("key", 2.0)
    assert state.take(2.0) == ("key", 2.0)
    state.done("key", 3.0)
    assert state.take(99.0) is None


def test_done_of_a_key_that_nobody_has():
    with pytest.raises(KeyError):
        QueueState().done("key", 0.0)


@pytest.mark.parametrize("due", [0.0, 5.0])
def test_discard_takes_a_key_out(due):
    state = QueueState()
    state.add("key", due, 0.0)
    state.discard("key")
    assert len(state) == 0
    assert state.next_due() is None
    assert state.take(9.0) is None


def test_discard_of_a_key_in_hand_forgets_its_mark():
    state = QueueState()
    state.add("key", 0.0, 0.0)
    state.take(0.0)
    state.add("key", 0.0, 0.0)
    state.discard("key")
    state.done("key", 0.0)
    assert state.take(9.0) is None


def test_moves_leave_no_growing_heap():
    state = QueueState()
    for step in range(10_000):
        state.add("key", 1e9, float(step))
        state.add("key", float(step), float(step))
        assert drain(state, float(step)) == ["key"]
    assert len(state._heap) <= 2 * MIN_COMPACT


class QueueMachine(RuleBasedStateMachine):
    """Random histories against the rules, kept here as a plain dict of the time each key is owed at."""

    def __init__(self):
        super().__init__()
        self.state = QueueState()
        self.now = 0.0
        self.owed = {}  # key -> earliest time asked for since it was last taken
        self.hand = set()

    @rule(key=KEYS, delay=st.floats(-5, 50))
    def add(self, key, delay):
        due = self.now + delay
        self.state.add(key, due, self.now)
        self.owed[key] = min(due, self.owed.get(key, due))

    @rule(seconds=st.floats(0, 20))
    def step(self, seconds):
        self.now += seconds

    @rule()
    def take(self):
        taken = self.state.take(self.now)
        due = [key for key, time in self.owed.items() if time <= self.now and key not in self.hand]
        if taken is None:
            assert not due, "lost, or held back"
            return
        assert taken.key not in self.hand, "two of one key in hand"
        assert taken.key in due, "too early, or never asked for"
        assert taken.since <= self.now
        del self.owed[taken.key]
        self.hand.add(taken.key)

    @precondition(lambda self: self.hand)
    @rule(data=st.data())
    def done(self, data):
        key = data.draw(st.sampled_from(sorted(self.hand)))
        self.hand.remove(key)
        self.state.done(key, self.now)

    @rule(key=KEYS)
    def discard(self, key):
        self.state.discard(key)
        self.owed.pop(key, None)

    @invariant()
    def counts(self):
        assert self.state.in_hand == len(self.hand)
        assert len(self.state) == len(self.owed.keys() - self.hand)

    def teardown(self):
        for key in sorted(self.hand):
            self.state.done(key, self.now)
        end = self.now + 100
        assert sorted(drain(self.state, end)) == sorted(self.owed)


TestQueueMachine = QueueMachine.TestCase
TestQueueMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
