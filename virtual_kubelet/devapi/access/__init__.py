"""Who may do what: RBAC objects, the node authorizer, and service account tokens."""

from __future__ import annotations
