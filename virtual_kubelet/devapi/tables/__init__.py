"""Objects as tables, for kubectl get."""

from __future__ import annotations
