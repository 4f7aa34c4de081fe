"""Containers as local processes."""

from __future__ import annotations
