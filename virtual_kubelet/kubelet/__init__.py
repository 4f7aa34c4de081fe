"""The kubelet's HTTP API: one module for each group of routes."""

from __future__ import annotations
