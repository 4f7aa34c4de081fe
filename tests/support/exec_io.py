"""An `ExecIO` and a `ForwardStream` for tests."""

from __future__ import annotations

from virtual_kubelet.testing.streams import ScriptedForward as FakeForward
from virtual_kubelet.testing.streams import ScriptedIO as FakeIO

__all__ = ["FakeForward", "FakeIO"]
