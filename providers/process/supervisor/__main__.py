"""Runs a supervisor: as a module, or as a file by an isolated interpreter that sees no package but the standard library.

The agent does the latter (`python -I -S .../supervisor/__main__.py --dir DIRECTORY`), so that nothing of the
agent's own surroundings decides what a supervisor is made of.
"""

from __future__ import annotations

import sys
from pathlib import Path

if not __package__:
    # Behind the standard library: a module of an installed package must not stand in for one of it.
    sys.path.append(str(Path(__file__).absolute().parents[4]))

from virtual_kubelet.providers.process.supervisor.daemon import run

if __name__ == "__main__":
    run()
