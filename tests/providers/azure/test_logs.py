from __future__ import annotations

import pytest
from support.pods import make_pod
from support.waiting import eventually

from virtual_kubelet.errors import InvalidInput, NotFound, NotSupported, Unavailable
from virtual_kubelet.provider import LogOptions
from virtual_kubelet.providers.azure import logs as logs_module
from virtual_kubelet.providers.azure import transport as transport_module
from virtual_kubelet.providers.azure.logs import GroupLog
from virtual_kubelet.pure import times
from virtual_kubelet.pure.backoff import Backoff
from virtual_kubelet.runtime.threads import spawn


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(logs_module, "SHORTEST", 0.01)
    monkeypatch.setattr(logs_module, "LONGEST", 0.03)
    monkeypatch.setattr(transport_module, "PAUSES", Backoff(initial=0.001, maximum=0.002))


@pytest.fixture
def running(arm, provider):
    pod = make_pod(restartPolicy="Never")
    provider.create_pod(pod)
    arm.time.advance(10)
    provider.get_pods()
    group = arm.of_pod("web")

    def open_log(container="main", **options):
        return provider.container_logs(
            "default", "web", pod["metadata"]["uid"], container, LogOptions(**options)
        )

    return group, open_log


def whole(stream):
    data = b""
    while piece := stream.read():
        data += piece
    stream.close()
    return data.decode()


def test_a_log_as_it_is_without_times_that_nobody_asked_for(running):
    group, open_log = running
    group.write("main", "one", "two", "", "2026-01-01T00:00:00Z looks like a time")
    assert whole(open_log()) == "one\ntwo\n\n2026-01-01T00:00:00Z looks like a time\n"


def test_tail(running, arm):
    group, open_log = running
    group.write("main", "one", "two", "three")
    assert whole(open_log(tail=2)) == "two\nthree\n"
    reads = arm.count("GET", "/logs")
    assert whole(open_log(tail=0)) == ""
    assert arm.count("GET", "/logs") == reads


def test_timestamps(running):
    group, open_log = running
    group.write("main", "one")
    text = whole(open_log(timestamps=True))
    stamp, _, line = text.partition(" ")
    assert times.parse(stamp)
    assert line == "one\n"


def test_since(running, arm):
    group, open_log = running
    group.write("main", "old")
    arm.time.advance(100)
    group.write("main", "new")
    assert whole(open_log(since=arm.time.now() - 50)) == "new\n"
    assert whole(open_log(since=arm.time.now() - 50, timestamps=True)).endswith("Z new\n")
    assert whole(open_log(since=arm.time.now() - 500, tail=1)) == "new\n"


def test_limit_bytes(running):
    group, open_log = running
    group.write("main", "0123456789")
    assert whole(open_log(limit_bytes=4)) == "0123"
    assert whole(open_log(limit_bytes=4, follow=True)) == "0123"


def test_following_without_gaps_or_repeats_to_the_end(running):
    group, open_log = running
    group.write("main", "same", "same")
    stream = open_log(follow=True, tail=1)
    seen = []
    thread = spawn(lambda: seen.append(whole(stream)), name="follow")
    for number in range(20):
        group.write("main", "same" if number % 2 else f"line {number}")
    eventually(lambda: stream._tracker._count >= 20)
    group.write("main", "last")
    group.terminate("main")
    thread.join(30)
    lines = ["same", *("same" if number % 2 else f"line {number}" for number in range(20)), "last"]
    assert seen == ["".join(f"{line}\n" for line in lines)]


def test_following_nothing_old(running):
    group, open_log = running
    group.write("main", "old")
    stream = open_log(follow=True, tail=0)
    group.write("main", "new")
    assert stream.read() == b"new\n"
    stream.close()


def test_following_past_what_one_look_shows(running, monkeypatch):
    monkeypatch.setattr(logs_module, "WINDOW", 5)
    group, open_log = running
    group.write("main", "first")
    stream = open_log(follow=True)
    assert stream.read() == b"first\n"
    group.write("main", *(f"line {number}" for number in range(40)))
    assert stream.read().decode().splitlines() == [f"line {number}" for number in range(40)]
    stream.close()


def test_following_through_a_restart(running):
    group, open_log = running
    group.write("main", "before")
    stream = open_log(follow=True)
    assert stream.read() == b"before\n"
    group.store.time.advance(5)
    group.logs["main"] = []
    group.write("main", "after")
    assert stream.read() == b"after\n"
    stream.close()


def test_closing_wakes_the_reader(running, monkeypatch):
    monkeypatch.setattr(logs_module, "SHORTEST", 60)
    _, open_log = running
    stream = open_log(follow=True)
    seen = []
    thread = spawn(lambda: seen.append(stream.read()), name="follow")
    stream.close()
    thread.join(30)
    assert seen == [b""]


def test_following_ends_with_the_group(running, arm):
    _, open_log = running
    stream = open_log(follow=True)
    arm.groups.groups.clear()
    assert stream.read() == b""


def test_following_outlives_a_bad_moment_of_arms(running, arm):
    group, open_log = running
    stream = open_log(follow=True)
    arm.faults.add("503", path="/logs", times=5)
    group.write("main", "still there")
    assert stream.read() == b"still there\n"
    stream.close()


def test_following_gives_up_on_a_long_outage(running, arm):
    _, open_log = running
    stream = open_log(follow=True)
    arm.faults.add("503", path="/logs")
    with pytest.raises(Unavailable):
        stream.read()
    stream.close()


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"previous": True}, NotFound, 'previous terminated container "main" in pod "web" not found'),
        ({"stream": "Stderr"}, NotSupported, "one log"),
        ({"container": "nope"}, NotFound, 'container "nope" in pod "web" not found; it has main'),
    ],
)
def test_what_cannot_be_shown(running, options, error, words):
    _, open_log = running
    with pytest.raises(error, match=words):
        open_log(**options)


def test_a_container_that_has_not_started(arm, provider):
    pod = make_pod()
    provider.create_pod(pod)
    with pytest.raises(InvalidInput, match="is waiting to start: ContainerCreating"):
        provider.container_logs("default", "web", pod["metadata"]["uid"], "main", LogOptions())


def test_a_pod_that_is_not_there(provider):
    with pytest.raises(NotFound):
        provider.container_logs("default", "web", "uid-none", "main", LogOptions())


def test_a_log_after_a_restart_of_the_agent(arm, running, make_provider):
    group, _ = running
    group.write("main", "hello")
    uid = group.body["tags"]["UID"]
    assert whole(make_provider().container_logs("default", "web", uid, "main", LogOptions())) == "hello\n"


def test_an_init_containers_log(arm, provider):
    pod = make_pod(initContainers=[{"name": "init", "image": "i"}])
    provider.create_pod(pod)
    arm.time.advance(10)
    arm.of_pod("web").write("init", "done")
    assert (
        whole(provider.container_logs("default", "web", pod["metadata"]["uid"], "init", LogOptions()))
        == "done\n"
    )


def test_lines_that_are_not_whole_when_the_log_ends():
    texts = iter(
        [
            "2026-01-01T00:00:01Z a\n2026-01-01T00:00:02Z b",
            *["2026-01-01T00:00:01Z a\n2026-01-01T00:00:02Z bc"] * 9,
        ]
    )
    stream = GroupLog(lambda tail, stamps: next(texts), lambda: True, LogOptions(follow=True))
    assert whole(stream) == "a\nbc"
