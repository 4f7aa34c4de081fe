from __future__ import annotations

import pytest
from support.devapi import Api, control_plane


@pytest.fixture
def plane():
    with control_plane() as plane:
        yield plane


@pytest.fixture
def api(plane):
    api = Api(plane)
    yield api
    api.close()
