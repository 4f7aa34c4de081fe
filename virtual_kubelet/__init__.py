"""A Kubernetes node whose pods run wherever a Python class can reach."""

from __future__ import annotations
