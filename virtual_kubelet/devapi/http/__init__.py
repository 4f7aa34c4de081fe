"""From HTTP requests to verbs, and from their results to answers."""

from __future__ import annotations
