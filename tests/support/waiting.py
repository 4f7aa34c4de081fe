"""Waiting for a condition, never for a time."""

from __future__ import annotations

from virtual_kubelet.testing.waiting import eventually

__all__ = ["eventually"]
