"""The error of every patch that cannot be applied."""

from __future__ import annotations

__all__ = ["PatchError", "PatchTooLarge"]


class PatchError(ValueError):
    """The patch is malformed, or does not fit the object; the API server answers 400 or 422."""


class PatchTooLarge(PatchError):
    """The patch asks for more work than the API server does for one request; it answers 413."""
