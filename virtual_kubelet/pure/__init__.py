"""Decisions: values in, values out; no socket, thread, clock, log or environment."""

from __future__ import annotations
