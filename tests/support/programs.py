"""Programs of users', run as users run them."""

from __future__ import annotations

import os


def users_environment():
    """Return the environment without what the tests' runner adds: a program imports what lies beside it."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
