"""`virtual-kubelet supervisor`, as the systemd unit runs it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from virtual_kubelet.providers.process.supervisor.protocol import PROTOCOL, SOCKET_NAME, encode


def command(*words):
    return [sys.executable, "-m", "virtual_kubelet", "supervisor", *words]


def run(*words):
    return subprocess.run(command(*words), capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.parametrize(("provider", "code"), [("process", 0), ("mock", 1), ("", 1)])
def test_who_needs_one(provider, code, tmp_path):
    config = tmp_path / "config.toml"
    config.write_text(f'provider = "{provider}"\nstate-dir = "{tmp_path}"\n')
    assert run("--needed", "--config", str(config)).returncode == code


def test_another_provider_has_none(tmp_path):
    result = run("--provider", "mock", "--state-dir", str(tmp_path))
    assert result.returncode == 1
    assert (
        result.stderr
        == 'virtual-kubelet: the provider "mock" has no supervisor; it belongs to --provider process\n'
    )


def test_it_tells_systemd_when_it_listens_and_leaves_the_environment_behind(tmp_path):
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(str(tmp_path / "notify"))
    manager.settimeout(30)
    process = subprocess.Popen(
        command("--provider", "process", "--nodename", "vm-1", "--state-dir", str(tmp_path)),
        env={**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify"), "AZURE_CLIENT_SECRET": "hush"},
    )
    try:
        assert manager.recv(100) == b"READY=1"
        directory = tmp_path / "vm-1" / "supervisor"
        assert (directory / SOCKET_NAME).is_socket()
        assert "hush" not in Path(f"/proc/{process.pid}/environ").read_text()
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as agent:
            agent.connect(str(directory / SOCKET_NAME))
            agent.sendall(encode({"op": "hello", "protocols": [PROTOCOL], "id": 1}))
            agent.settimeout(30)
            assert agent.recv(10_000)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
        manager.close()
