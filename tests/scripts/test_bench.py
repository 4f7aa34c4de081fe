"""The benchmark runs and has something to say; what it says is not judged here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "scripts" / "lib" / "bench.py"


@pytest.mark.slow
def test_a_few_pods():
    result = subprocess.run(
        [sys.executable, str(BENCH), "--pods", "20", "--json"],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    numbers = json.loads(result.stdout)
    assert numbers["pods"] == 20
    assert numbers["up"]["per_second"] > 0
    assert numbers["down"]["cpu_ms_per_pod"] > 0
    assert numbers["peak_rss_mb"] > 10
