"""`python -m virtual_kubelet`."""

from __future__ import annotations

import sys

from virtual_kubelet.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
