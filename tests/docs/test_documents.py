"""What the documents say is so: code runs, flags and files exist, tables are complete."""

from __future__ import annotations

import logging
import re
import signal
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path
from wsgiref import simple_server

import pytest
from support.devapi import control_plane
from support.provider import PushingProvider, ScriptedProvider
from support.waiting import eventually

from virtual_kubelet.cli.main import COMMANDS
from virtual_kubelet.cli.options import OPTIONS
from virtual_kubelet.runtime.threads import spawn

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts" / "lib"))
import metrics_table  # noqa: E402 - a script's module, found by the line above

NAMES = (
    "install-vm", "install-cluster", "troubleshooting", "security", "metrics", "embedding", "authors", "comparison",
)  # fmt: skip
OTHERS = {
    "--tail", "--ignore-daemonsets", "--target", "--set", "--namespace", "--create-namespace", "--values", "--now",
    "--kubelet-insecure-tls", "--from", "--server", "--token-file", "--certificate-authority", "--force",
}  # fmt: skip


def text(name):
    return (ROOT / "docs" / f"{name}.md").read_text()


def code(name):
    """Return what the blocks that are marked to be run define."""
    blocks = re.findall(r"<!-- run -->\n```python\n(.*?)```", text(name), re.DOTALL)
    assert blocks
    scope = {}
    for block in blocks:
        exec(compile(block, f"docs/{name}.md", "exec"), scope)
    return scope


@pytest.mark.parametrize("name", NAMES)
def test_flags_and_links_exist(name):
    flags = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text(name)))
    assert flags - {f"--{option.flag}" for option in OPTIONS} - OTHERS == set()
    for link in re.findall(r"\]\(([^)#:]+)\)", text(name)):
        assert (ROOT / "docs" / link).exists(), link
    for command in re.findall(r"^(?:sudo )?virtual-kubelet ([a-z]+)", text(name), re.MULTILINE):
        assert command in COMMANDS
    for path in re.findall(r"`\.?/?((?:deploy|scripts|charts|examples)/[\w./-]+)`", text(name)):
        assert (ROOT / path).exists(), path


def test_every_metric_is_described():
    table = [line for line in text("metrics").splitlines() if line.startswith("| `") and " | " in line]
    assert set(metrics_table.rows()) <= set(table)


def test_a_provider_is_tried_out():
    provider = ScriptedProvider()
    assert code("authors")["try_out"](provider) == "Running"


def test_the_agent_lives_in_a_wsgi_program(tmp_path, monkeypatch):
    """It serves and stops with its host, and leaves signals and logging as they were."""
    handlers = (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT))
    root_logger = (list(logging.getLogger().handlers), logging.getLogger().level)
    servers = []
    made = simple_server.make_server

    def make_server(*arguments):
        servers.append(made(*arguments))
        return servers[-1]

    monkeypatch.setattr(simple_server, "make_server", make_server)
    monkeypatch.setattr(simple_server.WSGIRequestHandler, "log_message", lambda *_: None)
    with control_plane() as plane:
        plane.write_kubeconfig(tmp_path / "kubeconfig")
        serve = code("embedding")["serve"]
        host = spawn(
            serve, str(tmp_path / "kubeconfig"), PushingProvider(), 0, str(tmp_path / "state"), name="host"
        )
        eventually(lambda: servers)
        url = f"http://127.0.0.1:{servers[0].server_port}/"
        eventually(lambda: get(url) == (200, b"ready"), 20)
        assert plane.storage.get("nodes", "", "batch") is not None
        servers[0].shutdown()
        host.join(20)
        assert not host.is_alive()
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == handlers
    assert (list(logging.getLogger().handlers), logging.getLogger().level) == root_logger
    assert not [thread for thread in threading.enumerate() if "virtual" in thread.name]


def get(url):
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()
    except (TimeoutError, urllib.error.URLError):
        return None
