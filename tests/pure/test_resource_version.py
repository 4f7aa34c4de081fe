from __future__ import annotations

import pytest

from virtual_kubelet.pure.resource_version import newer


@pytest.mark.parametrize(
    ("version", "than", "expected"),
    [
        ("10", "9", True),
        ("9", "10", False),
        ("9", "9", False),
        ("a1", "a0", True),
        ("a0", "a1", True),
        ("a0", "a0", False),
        ("", "5", True),
        ("5", "", True),
    ],
)
def test_newer(version, than, expected):
    assert newer(version, than) is expected
