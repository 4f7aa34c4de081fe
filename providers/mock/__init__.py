"""Pods in memory: for trials, tests and benchmarks."""

from __future__ import annotations
