"""The commands of the documents, typed as they are written.

Each block of commands is played, or is among `ELSEWHERE` with the place where it is tried.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from support import documents, kubectl
from support.chart import HELM
from support.devapi import allow_bootstrap, control_plane
from support.reader import Reader

ELSEWHERE = {
    "./scripts/quickstart": "test_quickstart below",
    "git clone": "by whoever reads this",
    "sudo apt-get install ./virtual-kubelet_": "scripts/check-packages",
    "sudo dnf install ./virtual-kubelet-": "scripts/check-packages unpacks it",
    "docker build -t registry.example.com": "scripts/check-image",
    "kubectl apply -f deploy/virtual-kubelet.yaml": "tests/deploy: the embedded control plane runs no StatefulSets",
    "kubectl drain edge-1": "test_a_machine_is_a_node below",
    "az group create": "needs Azure; tests/providers/azure speak to a double of it",
    "virtual-kubelet --provider docker": "tests/providers/docker speak to engines",
    "HYPER_HOST=tcp://engine": "tests/providers/hyper speak to a signing proxy",
}


@pytest.fixture
def reader(tmp_path):
    if not kubectl.find():
        pytest.skip("kubectl is not on this machine; put it on the path, or set KUBECTL")
    with control_plane(approve_certificates=True) as plane:
        allow_bootstrap(plane)
        reader = Reader(tmp_path / "machine", plane)
        yield reader
        reader.close()


@pytest.mark.parametrize("name", documents.all_of_them())
def test_every_block_of_commands_is_tried(name):
    for block in documents.blocks(name):
        # The bare ones of the architecture are diagrams.
        assert block.language or "architecture" in name, (
            f"{name}: of what language is this? {block.text[:60]}"
        )
        if block.language == "sh" and block.do != "run":
            assert any(block.text.startswith(words) for words in ELSEWHERE), f"{name}: {block.text}"


@pytest.mark.live
def test_first_steps(reader):
    (scene,) = documents.scenes("README.md").values()
    assert "my-node" in reader.play(scene)


@pytest.mark.live
def test_a_machine_is_a_node(reader):
    """From the token to the node, a second one beside it, and its removal as docs/upgrade.md has it."""
    scenes = documents.scenes("docs/install-vm.md")
    printed = reader.play(scenes[""])
    assert "nothing is wrong" in printed
    created = {request.user for request in reader.plane.requests.all(resource="nodes", verb="create")}
    assert created == {"system:node:edge-1", "system:node:edge-2"}
    reader.play(documents.scenes("docs/upgrade.md")[""])
    assert reader.plane.storage.get("nodes", "", "edge-1") is None
    assert reader.plane.storage.get("nodes", "", "edge-2") is not None


@pytest.mark.live
def test_joining_by_kubeconfig(reader):
    assert "node edge-1: certificate in" in reader.play(documents.scenes("docs/install-vm.md")["kubeconfig"])


@pytest.mark.live
@pytest.mark.skipif(not os.access(HELM, os.X_OK), reason="helm is not there")
def test_a_cluster(reader):
    printed = reader.play(documents.scenes("docs/install-cluster.md")[""])
    assert "clusterrole.rbac.authorization.k8s.io/virtual-kubelet created" in printed
    assert "--provider=azure" in printed


@pytest.mark.live
@pytest.mark.slow
@pytest.mark.timeout(400)
def test_quickstart(tmp_path):
    """It needs nothing but Python, and leaves nothing behind but its virtual environment."""
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "TMPDIR": str(tmp_path),
        "VK_VENV": str(tmp_path / "venv"),
    }
    environ |= {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    probe = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--dest",
        tmp_path / "probe",
        "h11",
    ]
    if subprocess.run(probe, env=environ, capture_output=True, timeout=120, check=False).returncode:
        pytest.skip("no package index can be reached")
    done = subprocess.run(
        [documents.ROOT / "scripts" / "quickstart", "--once"],
        env=environ, capture_output=True, text=True, timeout=380, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "hello | Hello from pod hello on node virtual-kubelet" in done.stdout
    assert [path.name for path in tmp_path.iterdir() if "virtual-kubelet" in path.name] == []
