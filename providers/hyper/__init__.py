"""Pods on Hyper.sh's API: the Docker Engine API of version 1.23, signed."""

from __future__ import annotations
