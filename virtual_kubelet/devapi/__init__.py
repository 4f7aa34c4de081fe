"""An embedded control plane for trying and testing: what kubectl and an agent need of an API server."""

from __future__ import annotations
