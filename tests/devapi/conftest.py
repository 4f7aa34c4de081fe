from __future__ import annotations

import pytest
from support.devapi import Api, control_plane
from support.ports import held_port


@pytest.fixture
def plane():
    with held_port() as port, control_plane(port=port) as plane:
        yield plane


@pytest.fixture
def api(plane):
    api = Api(plane)
    yield api
    api.close()
