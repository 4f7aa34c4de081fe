"""The verbs, as functions of the cluster: what an HTTP request and an inner controller both call."""

from __future__ import annotations
