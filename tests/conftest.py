"""Guards for every test: no thread, no listening socket and no child process may outlive it."""

from __future__ import annotations

import pytest
from support.leaks import Census


@pytest.fixture(autouse=True)
def nothing_left_behind():
    before = Census.take()
    yield
    before.assert_nothing_new()
