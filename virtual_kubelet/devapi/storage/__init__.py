"""Objects in memory, one global resourceVersion, and a history that watches can resume from."""

from __future__ import annotations
