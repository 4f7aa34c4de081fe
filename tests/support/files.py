"""Files that others write and remove meanwhile."""

from __future__ import annotations

import os
from pathlib import Path


def below(directory):
    """Yield all paths below a directory; one that vanishes during the walk is no error, as it is for `rglob`."""
    for root, directories, files in os.walk(directory):
        for name in [*directories, *files]:
            yield Path(root, name)


def named(directory, text):
    """Return the paths below a directory with `text` in their name."""
    return [path for path in below(directory) if text in path.name]
