"""The controllers that nodes and pods need: binder, node lifecycle, garbage collection, namespaces."""

from __future__ import annotations
