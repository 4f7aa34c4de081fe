"""An embedded control plane and a node on it, with a provider that does as it is told."""

from __future__ import annotations

import pytest
from support.devapi import Api, control_plane
from support.podnode import PodNode
from support.provider import PushingProvider, ScriptedProvider


@pytest.fixture
def plane():
    with control_plane() as plane:
        yield plane


@pytest.fixture
def api(plane):
    api = Api(plane)
    yield api
    api.close()


@pytest.fixture(params=[ScriptedProvider, PushingProvider], ids=["polled", "pushing"])
def provider(request):
    return request.param()


@pytest.fixture
def node(plane, provider, tmp_path):
    with PodNode(plane, provider, tmp_path) as node:
        node.listed()
        yield node
