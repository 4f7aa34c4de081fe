"""The command line: flags, environment, files, signals, logging; nothing that an embedder needs."""

from __future__ import annotations
