"""docs/authors.md: the provider's page, logs and exec, and a package that `--provider` finds."""

from __future__ import annotations

import configparser
import os
import subprocess
import sys

import pytest
from support import documents, kubectl
from support.provider import ScriptedProvider

from virtual_kubelet.testing import DevCluster

DOCUMENT = "docs/authors.md"
PROVIDER = """
from virtual_kubelet.providers.mock.config import MockConfig
from virtual_kubelet.providers.mock.provider import MockProvider

class AcmeProvider(MockProvider):
    def __init__(self, address):
        super().__init__(MockConfig())
"""


def test_a_provider_is_tried_out():
    assert documents.python(DOCUMENT)["try_out"](ScriptedProvider()) == "Running"


@pytest.mark.live
def test_logs_and_exec(tmp_path):
    class Mine(documents.python(DOCUMENT)["LogsAndExec"], ScriptedProvider):
        pass

    with DevCluster(Mine(), node_name="trial", provider_sync_period=0.2) as cluster:
        kctl = kubectl.kubectl(cluster.control_plane, tmp_path)
        kctl(
            "run",
            "hello",
            "--image=none",
            "--overrides",
            '{"spec": {"tolerations": [{"operator": "Exists"}]}}',
        )
        kctl("wait", "--for=condition=Ready", "pod/hello", "--timeout=30s")
        assert kctl("logs", "hello") == "first\nsecond\n"
        assert kctl("logs", "hello", "--tail=1") == "second\n"
        assert kctl("logs", "hello", "--tail=0") == ""
        ran = kctl.run("exec", "hello", "--", "sh", "-c", "echo hi; exit 3")
        assert (ran.stdout, ran.returncode) == ("hi\n", 3)


@pytest.fixture
def acme(tmp_path):
    """The document's package, laid out as pip does it."""
    files = {block.what: block.text for block in documents.blocks(DOCUMENT) if block.do == "file"}
    setup = configparser.ConfigParser()
    setup.read_string(files.pop("setup.cfg"))
    group, points = next(iter(setup["options.entry_points"].items()))
    information = f"{setup['metadata']['name'].replace('-', '_')}-{setup['metadata']['version']}.dist-info"
    files[f"{information}/METADATA"] = "Metadata-Version: 2.1\nName: acme-provider\nVersion: 1.0\n"
    files[f"{information}/entry_points.txt"] = f"[{group}]\n{points.strip()}\n"
    files["acme_provider/provider.py"] = PROVIDER
    for name, text in files.items():
        (tmp_path / "site" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "site" / name).write_text(text)
    return tmp_path / "site"


def run(site, *words):
    path = os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH")]))
    environ = {**os.environ, "PYTHONPATH": path}
    command = [sys.executable, "-m", "virtual_kubelet", *map(str, words)]
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=100, check=False)


def test_a_package_is_found_by_its_entry_point(acme, tmp_path):
    assert run(acme, "providers", "acme").stdout == "acme\n"
    assert run(tmp_path, "providers", "acme").returncode == 1
    refused = run(acme, "dev", "--provider", "acme", "--once")
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert "set --provider-config to a file" in refused.stderr
    (tmp_path / "address").write_text("https://acme.example\n")
    done = run(
        acme, "dev", "--provider", "acme", "--provider-config", tmp_path / "address", "--once",
        "--apply", documents.ROOT / "examples" / "hello.yaml",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "is Ready (provider acme)" in done.stdout
