"""The kinds of objects that the server holds, and what creating and changing each of them means."""

from __future__ import annotations
