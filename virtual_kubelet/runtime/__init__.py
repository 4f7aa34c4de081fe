"""Threads, time, queues, logs and metrics, made once and used everywhere."""

from __future__ import annotations
