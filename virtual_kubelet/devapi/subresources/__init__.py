"""Paths below objects that do something else than show or change them."""

from __future__ import annotations
