"""HTTPS and upgraded connections, on threads."""

from __future__ import annotations
