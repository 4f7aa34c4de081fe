"""The life of a pod over a container driver."""

from __future__ import annotations
