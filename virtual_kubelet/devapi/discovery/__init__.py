"""What the server says of itself: discovery, OpenAPI."""

from __future__ import annotations
