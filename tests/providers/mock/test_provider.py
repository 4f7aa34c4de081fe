from __future__ import annotations

import threading

import pytest

from virtual_kubelet import codec
from virtual_kubelet.errors import NotFound, Unavailable
from virtual_kubelet.provider import (
    Attaching,
    Closing,
    ConfiguringNode,
    Executing,
    KeepingLogs,
    LogOptions,
    Measuring,
    Notifying,
    Pinging,
    PortForwarding,
    Provider,
    ProviderConfig,
    Purging,
)
from virtual_kubelet.providers.mock.config import MockConfig
from virtual_kubelet.providers.mock.journal import Journal
from virtual_kubelet.providers.mock.provider import MockProvider, create
from virtual_kubelet.runtime.threads import spawn


def pod(name="web", uid="u1", **spec):
    return {
        "metadata": {"namespace": "default", "name": name, "uid": uid},
        "spec": {"containers": [{"name": "main", "image": "nginx", "command": ["run"]}], **spec},
    }


@pytest.fixture
def provider():
    return MockProvider()


def test_has_every_ability(provider):
    abilities = (
        Provider, Notifying, ConfiguringNode, Pinging, KeepingLogs, Executing, Attaching, PortForwarding, Measuring,
        Closing, Purging,
    )  # fmt: skip
    assert [ability.__name__ for ability in abilities if not isinstance(provider, ability)] == []


def test_a_pod_runs_at_once_and_is_gone_when_deleted(provider):
    seen = []
    provider.notify_pods(lambda *arguments: seen.append(arguments))
    provider.create_pod(pod(initContainers=[{"name": "first", "image": "x"}]))
    status = provider.get_pod_status("default", "web")
    assert status["phase"] == "Running"
    assert status["containerStatuses"][0]["state"]["running"]
    assert status["initContainerStatuses"][0]["state"]["terminated"]["exitCode"] == 0
    assert seen == [("default", "web", "u1", status)]

    provider.delete_pod(pod())
    assert provider.get_pod("default", "web") is None
    assert seen[1][:3] == ("default", "web", "u1")
    assert seen[1][3]["phase"] == "Succeeded"
    assert (
        seen[1][3]["containerStatuses"][0]["state"]["terminated"]["reason"]
        == "MockProviderPodContainerDeleted"
    )


def test_pods_have_addresses_of_their_own(provider):
    for number in range(300):
        provider.create_pod(pod(f"p{number}", f"u{number}"))
    assert len({item["status"]["podIP"] for item in provider.get_pods()}) == 300


def test_told_twice_is_told_once(provider):
    provider.create_pod(pod())
    before = provider.get_pod("default", "web")
    provider.create_pod(pod())
    assert provider.get_pod("default", "web") == before


def test_what_it_gives_is_a_copy(provider):
    provider.create_pod(pod())
    provider.get_pod("default", "web")["status"]["phase"] = "Failed"
    assert provider.get_pod_status("default", "web")["phase"] == "Running"


def test_update(provider):
    provider.create_pod(pod())
    changed = pod()
    changed["spec"]["containers"][0]["image"] = "nginx:2"
    before = provider.get_pod_status("default", "web")
    provider.update_pod(changed)
    after = provider.get_pod("default", "web")
    assert after["spec"]["containers"][0]["image"] == "nginx:2"
    assert after["status"]["containerStatuses"][0]["image"] == "nginx:2"
    assert (after["status"]["podIP"], after["status"]["startTime"]) == (before["podIP"], before["startTime"])


def test_another_uid_is_another_pod(provider):
    provider.create_pod(pod(uid="old"))
    for call in (provider.delete_pod, provider.update_pod):
        with pytest.raises(NotFound):
            call(pod(uid="new"))
    assert provider.get_pod("default", "web")["metadata"]["uid"] == "old"


def test_a_journal_outlives_the_provider(tmp_path):
    first = MockProvider(state_dir=str(tmp_path))
    first.create_pod(pod("stays", "u1"))
    first.create_pod(pod("goes", "u2"))
    first.delete_pod(pod("goes", "u2"))
    before = first.get_pods()
    first.close(1)  # a crash would leave the same file

    second = MockProvider(state_dir=str(tmp_path))
    assert second.get_pods() == before
    second.purge()
    assert MockProvider(state_dir=str(tmp_path)).get_pods() == []


def test_no_address_is_given_twice_after_a_restart(tmp_path):
    first = MockProvider(state_dir=str(tmp_path))
    for name in ("goes", "stays"):
        first.create_pod(pod(name, name))
    first.delete_pod(pod("goes", "goes"))
    first.close(1)
    second = MockProvider(state_dir=str(tmp_path))
    second.create_pod(pod("new", "new"))
    assert len({item["status"]["podIP"] for item in second.get_pods()}) == 2
    second.close(1)


def test_a_torn_line_of_the_journal_is_dropped(tmp_path):
    journal = Journal(str(tmp_path))
    assert journal.open() == []
    journal.keep(codec.dumps(pod()))
    journal.close()
    path = tmp_path / "mock-pods.jsonl"
    path.write_bytes(path.read_bytes() + b'{"metadata": {"na')
    again = Journal(str(tmp_path))
    assert [item["metadata"]["name"] for item in again.open()] == ["web"]
    again.close()
    assert path.stat().st_mode & 0o077 == 0


def test_failures_as_configured():
    provider = MockProvider(MockConfig(failure_rate=0.5, seed=1))
    outcomes = []
    for number in range(100):
        try:
            provider.create_pod(pod(f"p{number}", f"u{number}"))
            outcomes.append(True)
        except Unavailable:
            outcomes.append(False)
    assert 20 < sum(outcomes) < 80
    assert len(provider.get_pods()) == sum(outcomes)


def test_close_ends_a_configured_wait():
    provider = MockProvider(MockConfig(latency=3600))
    waiting = spawn(provider.create_pod, pod(), name="creating")
    provider.close(1)
    waiting.join(30)
    assert not waiting.is_alive()


def test_the_node():
    provider = create(ProviderConfig(node_name="n", operating_system="Windows"))
    assert provider.operating_system() == "Windows"
    assert provider.capacity()["pods"] == "110"
    node = {"metadata": {"name": "n"}}
    provider.configure_node(node)
    assert node["metadata"]["labels"]["node.kubernetes.io/exclude-from-external-load-balancers"] == "true"


def read_all(stream):
    return b"".join(iter(stream.read, b"")).decode().splitlines()


@pytest.mark.parametrize(
    ("options", "lines"),
    [
        (LogOptions(), 3),
        (LogOptions(tail=1), 1),
        (LogOptions(tail=0), 0),
        (LogOptions(tail=99), 3),
        (LogOptions(stream="Stderr"), 0),
        (LogOptions(since=4e9), 0),
    ],
)
def test_logs(provider, options, lines):
    provider.create_pod(pod())
    assert len(read_all(provider.container_logs("default", "web", "u1", "main", options))) == lines


def test_log_limit_and_timestamps(provider):
    provider.create_pod(pod())
    stream = provider.container_logs(
        "default", "web", "u1", "main", LogOptions(limit_bytes=7, timestamps=True)
    )
    text = "".join(read_all(stream))
    assert len(text) == 7
    assert text.startswith("20")


@pytest.mark.parametrize(
    ("container", "options"), [("other", LogOptions()), ("main", LogOptions(previous=True))]
)
def test_logs_that_are_not_there(provider, container, options):
    provider.create_pod(pod())
    with pytest.raises(NotFound):
        provider.container_logs("default", "web", "u1", container, options)


def test_a_followed_log_ends_with_its_pod(provider):
    provider.create_pod(pod())
    stream = provider.container_logs("default", "web", "u1", "main", LogOptions(follow=True))
    lines = []
    following = spawn(lambda: lines.extend(read_all(stream)), name="following")
    provider.update_pod(pod())
    provider.delete_pod(pod())
    following.join(30)
    assert len(lines) >= 3


def test_a_followed_log_ends_when_closed(provider):
    provider.create_pod(pod())
    stream = provider.container_logs("default", "web", "u1", "main", LogOptions(follow=True, tail=0))
    ended = threading.Event()
    spawn(lambda: (read_all(stream), ended.set()), name="following")
    stream.close()
    assert ended.wait(30)


class EchoIO:
    tty = stderr = False
    stdin = stdout = True

    def __init__(self, *chunks):
        self.chunks = list(chunks)
        self.out = b""

    def read_stdin(self, size=0):
        return self.chunks.pop(0) if self.chunks else b""

    def write_stdout(self, data):
        self.out += data

    read = read_stdin
    write = write_stdout

    def close_write(self):
        self.out += b"."


def test_exec_echoes(provider):
    provider.create_pod(pod())
    io = EchoIO(b"a", b"b")
    assert provider.exec_in_container("default", "web", "u1", "main", ["cat", "a b"], io) == 0
    assert io.out == b"cat 'a b'\nab"
    assert provider.exec_in_container("default", "web", "u1", "main", ["exit", "7"], EchoIO()) == 7


def test_what_no_pod_has_is_not_found(provider):
    provider.create_pod(pod())
    with pytest.raises(NotFound):
        provider.exec_in_container("default", "web", "u1", "nobody", ["cat"], EchoIO())
    with pytest.raises(NotFound):
        provider.attach_to_container("default", "web", "u1", "nobody", EchoIO())


def test_attach_and_port_forward_echo(provider):
    provider.create_pod(pod())
    attached, forwarded = EchoIO(b"x"), EchoIO(b"y")
    provider.attach_to_container("default", "web", "u1", "main", attached)
    provider.port_forward("default", "web", "u1", 80, forwarded)
    assert (attached.out, forwarded.out) == (b"x", b"y.")


def test_stats_have_the_shape_of_a_summary(provider):
    provider.create_pod(pod())
    summary = provider.stats_summary()
    entry = summary["pods"][0]
    assert entry["podRef"] == {"name": "web", "namespace": "default", "uid": "u1"}
    assert entry["containers"][0]["memory"]["workingSetBytes"] > 0
    assert summary["node"]["cpu"]["usageNanoCores"] == entry["cpu"]["usageNanoCores"]
