"""The conformance suite finds what is broken, and passes what is not."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import defaultdict
from dataclasses import fields
from pathlib import Path
from textwrap import indent

import pytest

from virtual_kubelet.testing.conformance import ConformanceProfile

pytest_plugins = ["pytester"]

AUTHORS = Path(__file__).parents[2] / "docs" / "authors.md"

MODULE = """
import pytest
from virtual_kubelet.providers.mock.provider import MockProvider
from virtual_kubelet.testing import leaks
from virtual_kubelet.testing.conformance import ConformanceProfile, {classes}

pytest_plugins = ["virtual_kubelet.testing.plugin"]

class Broken(MockProvider):
    def __init__(self, config):
        super().__init__(state_dir=config.state_dir)

{body}

@pytest.fixture
def provider_profile(request, monkeypatch):
    patience = 2.0 if request.node.name in {failing} else 30.0
    monkeypatch.setattr(leaks, "GRACE", patience)
    return ConformanceProfile(
        Broken,
        {{"image": "x"}},
        shell=None,
        writes={{"image": "x"}},
        exits=lambda code: ["exit", str(code)],
        timeout=patience,
    )
"""

BROKEN = {
    "takes_another_uid_for_the_same": (
        """
def delete_pod(self, pod):
    held = self.get_pod(pod["metadata"]["namespace"], pod["metadata"]["name"])
    super().delete_pod(held or pod)
""",
        {"TestIdentity": {"test_deleting_the_old_one_spares_the_new_one"}},
    ),
    "tells_a_part": (
        """
def get_pods(self):
    pods = super().get_pods()
    return pods[-1:]
""",
        {
            "TestDeletion": {"test_get_pods_is_whole_while_pods_come_and_go"},
            "TestRestarts": {"test_what_runs_goes_on"},
        },
    ),
    "starts_twice": (
        """
def create_pod(self, pod):
    count = self.creations = getattr(self, "creations", -1) + 1
    super().create_pod(pod)
    held = self.get_pod(pod["metadata"]["namespace"], pod["metadata"]["name"])
    for item in held["status"]["containerStatuses"]:
        item["restartCount"] = count
    self._keep(held, held["status"])
""",
        {"TestLifeCycle": {"test_created_twice_is_created_once"}},
    ),
    "forgets": (
        """
def __init__(self, config):
    MockProvider.__init__(self)
""",
        {
            "TestRestarts": {
                "test_what_runs_goes_on",
            }
        },
    ),
    "deletes_what_is_not_there": (
        """
def delete_pod(self, pod):
    if self.get_pod(pod["metadata"]["namespace"], pod["metadata"]["name"]):
        super().delete_pod(pod)
""",
        {"TestLifeCycle": {"test_what_nobody_created_is_not_there"}},
    ),
    "never_lets_go": (
        """
def delete_pod(self, pod):
    pass
""",
        {"TestIdentity": {"test_the_same_name_again", "test_deleting_the_old_one_spares_the_new_one"}},
    ),
    "changes_what_it_gave": (
        """
given = None
def get_pods(self):
    self.given = super().get_pods()
    return self.given
def delete_pod(self, pod):
    for held in self.given or []:
        held["status"]["phase"] = "Succeeded"
    super().delete_pod(pod)
def get_pod(self, namespace, name):
    self.given = [super().get_pod(namespace, name)]
    return self.given[0]
def get_pod_status(self, namespace, name):
    found = super().get_pod(namespace, name)
    return found and found["status"]
""",
        {"TestLifeCycle": {"test_what_was_handed_out_stays_as_it_was"}},
    ),
    "says_nothing": (
        """
def _notify(self, key, uid, status):
    pass
""",
        {"TestLifeCycle": {"test_changes_are_told"}},
    ),
    "takes_tail_0_for_all": (
        """
def container_logs(self, namespace, pod, uid, container, options):
    from dataclasses import replace
    return super().container_logs(namespace, pod, uid, container, replace(options, tail=options.tail or None))
""",
        {"TestLogs": {"test_tail", "test_closing_wakes_a_reader"}},
    ),
    "loses_exit_codes": (
        """
def exec_in_container(self, *args):
    return super().exec_in_container(*args) and 1
""",
        {"TestExec": {"test_the_exit_code[7]"}},
    ),
    "writes_nonsense": (
        """
def get_pods(self):
    pods = super().get_pods()
    for pod in pods:
        pod["status"]["phase"] = "Runing"
    return pods
""",
        {"TestIdentity": {"test_the_same_name_again", "test_deleting_the_old_one_spares_the_new_one"}},
    ),
    "counts_in_words": (
        """
def capacity(self):
    return {"cpu": "many", "memory": "1Gi", "pods": "1"}
""",
        {"TestNode": {"test_capacity_is_in_quantities"}},
    ),
    "leaves_a_thread": (
        """
def purge(self):
    from threading import Event
    from virtual_kubelet.runtime.threads import spawn
    super().purge()
    release = Event()
    RELEASES.append(release)
    spawn(release.wait, name="left")

import builtins
RELEASES = builtins.CONFORMANCE_RELEASES
""",
        {
            "TestPortForward": {
                "test_what_is_not_there",
                "test_a_port_where_nobody_listens",
                "test_bytes_go_both_ways",
            }
        },
    ),
}


@pytest.fixture
def releases(monkeypatch):
    """Events that the broken ones wait for; set at the end."""
    found = []
    monkeypatch.setattr("builtins.CONFORMANCE_RELEASES", found, raising=False)
    yield found
    for release in found:
        release.set()


def module_of(body, expected):
    """Return a test module for one of `BROKEN`: no patience with what fails, much with what passes."""
    failing = set().union(*expected.values())
    return MODULE.format(classes=", ".join(expected), body=indent(body, "    "), failing=failing)


def run(pytester, *options, **modules):
    """Run test modules in this process; return the outcomes' reports: passed, skipped, failed."""
    pytester.makepyfile(**modules)
    return pytester.inline_run("-p", "no:cacheprovider", *options).listoutcomes()


@pytest.mark.fails_inside
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_what_is_broken_fails_where_it_is(pytester, releases):
    modules = {f"test_{name}": module_of(body, expected) for name, (body, expected) in BROKEN.items()}
    _, _, failed = run(pytester, **modules)
    found = defaultdict(lambda: defaultdict(set))
    for report in failed:
        module, cls, test = report.nodeid.split("::")
        found[module.removeprefix("test_").removesuffix(".py")][cls].add(test)
    assert found == {name: expected for name, (_, expected) in BROKEN.items()}


NINE_METHODS = """
import threading
import pytest
from virtual_kubelet.errors import NotFound
from virtual_kubelet.testing.conformance import *
from virtual_kubelet.testing.conformance import ConformanceProfile

pytest_plugins = ["virtual_kubelet.testing.plugin"]

class Small:
    def __init__(self, config):
        self.lock, self.pods = threading.Lock(), {}

    def create_pod(self, pod):
        with self.lock:
            self.pods[pod["metadata"]["namespace"], pod["metadata"]["name"]] = pod["metadata"]

    update_pod = create_pod

    def delete_pod(self, pod):
        key, uid = (pod["metadata"]["namespace"], pod["metadata"]["name"]), pod["metadata"]["uid"]
        with self.lock:
            if self.pods.get(key, {}).get("uid") != uid:
                raise NotFound(f"no pod {key}")
            del self.pods[key]

    def get_pod(self, namespace, name):
        return next((pod for pod in self.get_pods() if (pod["metadata"]["namespace"], pod["metadata"]["name"]) == (namespace, name)), None)

    def get_pod_status(self, namespace, name):
        pod = self.get_pod(namespace, name)
        return pod and pod["status"]

    def get_pods(self):
        with self.lock:
            return [{"metadata": metadata, "status": {"phase": "Running"}} for metadata in self.pods.values()]

    def capacity(self):
        return {"cpu": "8", "memory": "16Gi", "pods": "100"}

    def node_conditions(self):
        return []

    def operating_system(self):
        return "Linux"

@pytest.fixture
def provider_profile():
    return ConformanceProfile(Small, {"image": "x"}, shell=None, survives=False)
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_nine_methods_are_enough(pytester, capsys):
    passed, skipped, failed = run(pytester, "-k", "not TestCluster or becomes_ready", test_small=NINE_METHODS)
    assert failed == []
    assert {report.nodeid.split("::")[1] for report in passed} == {
        "TestCluster", "TestDeletion", "TestIdentity", "TestLifeCycle", "TestNode",
    }  # fmt: skip
    reasons = " ".join(report.longrepr[2] for report in skipped)
    for text in (
        "does not have the ability Executing",
        "profile.shell is None",
        "profile.survives is False",
    ):
        assert text in reasons
    told = capsys.readouterr().out
    assert "= provider conformance =" in told
    assert "test_small.py TestNode: 4 passed, 3 skipped" in told
    assert "1 not tested: the provider does not have the ability Pinging" in told


ACME = """
from dataclasses import replace
from virtual_kubelet.providers.process.provider import create as process

def create(config):
    with open(config.config_path) as file:
        assert file.read() == 'region = "test"\\n'
    return process(replace(config, config_path=""))
"""


def test_the_module_of_the_documents(pytester):
    text = AUTHORS.read_text()
    (source,) = re.findall(r"<!-- tests/test_conformance.py -->\n```python\n(.*?)```", text, re.DOTALL)
    pytester.makepyfile(acme_provider=ACME)
    pytester.syspathinsert()
    passed, _, failed = run(pytester, "-k", "TestEndings and test_success", test_conformance=source)
    assert (len(passed), failed) == (2, [])


def test_every_field_is_in_the_documents():
    table = AUTHORS.read_text()
    assert [item.name for item in fields(ConformanceProfile) if f"`{item.name}" not in table] == []


def test_a_missing_profile_is_asked_for(pytester, capsys):
    source = """
        from virtual_kubelet.testing.conformance import TestNode

        pytest_plugins = ["virtual_kubelet.testing.plugin"]
        """
    run(pytester, test_nothing=source)
    assert "write a fixture `provider_profile`" in capsys.readouterr().out


def test_asserts_show_their_values(pytester, capsys):
    run(pytester, test_values=module_of(*BROKEN["loses_exit_codes"]))
    assert "assert 1 == 7" in capsys.readouterr().out


def test_pytest_is_for_tests_only():
    script = "import sys, virtual_kubelet.testing, virtual_kubelet.testing.streams; sys.exit('pytest' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
