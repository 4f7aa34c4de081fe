"""The example keeps the contract that it is an example of."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from virtual_kubelet.testing.conformance import *  # noqa: F403
from virtual_kubelet.testing.conformance import ConformanceProfile

pytest_plugins = ["virtual_kubelet.testing.plugin"]

SCRIPT = Path(__file__).parents[2] / "examples" / "embedded.py"


@pytest.fixture
def provider_profile():
    example = runpy.run_path(str(SCRIPT))["TimerProvider"]

    class LongTimers(example):
        """A pod of the suite's runs until it is ended."""

        def create_pod(self, pod):
            metadata = {**pod["metadata"], "annotations": {"example/seconds": "3600"}}
            super().create_pod({**pod, "metadata": metadata})

    return ConformanceProfile(lambda config: LongTimers(), {"image": "none"}, shell=None, survives=False)
