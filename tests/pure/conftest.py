from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def nothing_left_behind():
    """Replace the guard of the other tests: values in, values out starts nothing, and the census costs more than these tests."""
