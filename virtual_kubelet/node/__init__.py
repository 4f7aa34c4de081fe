"""The node and its pods: what keeps Kubernetes and the provider in agreement."""

from __future__ import annotations
