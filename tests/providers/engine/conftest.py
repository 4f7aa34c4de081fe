"""A small engine and a client of it."""

from __future__ import annotations

import pytest
from support.fake_engine import FakeEngine

from virtual_kubelet.providers.engine.client import Client
from virtual_kubelet.providers.engine.endpoint import Endpoint


@pytest.fixture
def engine(tmp_path):
    with FakeEngine(tmp_path / "engine.sock") as found:
        yield found


@pytest.fixture
def client(engine):
    found = Client(Endpoint(path=engine.path))
    yield found
    found.close()
