"""The process provider passes the whole suite, on real processes."""

from __future__ import annotations

import os
import sys

import pytest
from support.files import named
from support.processes import processes_of

from virtual_kubelet.providers.process.provider import create
from virtual_kubelet.testing.conformance import *  # noqa: F403
from virtual_kubelet.testing.conformance import ConformanceProfile

pytest_plugins = ["virtual_kubelet.testing.plugin"]

ECHO_SERVER = """
import socket, sys
with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as listener:
    while True:
        peer, _ = listener.accept()
        with peer:
            while data := peer.recv(4096):
                peer.sendall(data)
"""


@pytest.fixture
def provider_profile(tmp_path):
    def remains(uid):
        found = [f"process {pid}" for pid in processes_of(uid)]
        return found + [str(path) for path in named(tmp_path, uid)]

    return ConformanceProfile(
        create,
        {"image": "none"},
        environ=dict(os.environ),
        serves=lambda port: {
            "image": "none",
            "command": [sys.executable, "-I", "-S", "-c", ECHO_SERVER, str(port)],
        },
        remains=remains,
    )
