"""The Kubernetes API as a client sees it: requests, watches, stores, events, certificates."""

from __future__ import annotations
