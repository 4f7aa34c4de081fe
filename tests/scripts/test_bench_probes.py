"""The measurement runs and has something to say; that probes have no threads is judged, what they cost is not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support.programs import users_environment

BENCH = Path(__file__).parents[2] / "scripts" / "lib" / "bench_probes.py"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_many_probes_few_threads():
    result = subprocess.run(
        [sys.executable, str(BENCH), "--pods", "20", "--seconds", "2", "--json"],
        env=users_environment(),
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    numbers = json.loads(result.stdout)
    assert list(numbers) == ["none", "tcpSocket", "httpGet", "exec"]
    # Task threads come and go; one for each of 20 probes would be more.
    assert all(item["threads"] <= numbers["none"]["threads"] + 10 for item in numbers.values())
