"""What a test may not leave behind: threads, listening sockets, child processes."""

from __future__ import annotations

from virtual_kubelet.testing.leaks import Census

__all__ = ["Census"]
