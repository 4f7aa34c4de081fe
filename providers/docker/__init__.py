"""Containers of Docker or Podman as pods."""

from __future__ import annotations
