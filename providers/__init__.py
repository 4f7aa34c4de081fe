"""The providers that come with this package, found by name."""

from __future__ import annotations
