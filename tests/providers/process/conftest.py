"""A supervisor's directory, and a client that has one started there."""

from __future__ import annotations

import pytest
from support.process_supervisor import running_agent


@pytest.fixture
def directory(tmp_path):
    return tmp_path / "supervisor"


@pytest.fixture
def agent(directory):
    with running_agent(directory) as agent:
        yield agent
