"""Logs, with every option. What was written is first read whole; the options are then held against that."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest

from virtual_kubelet.errors import NotFound, ProviderError
from virtual_kubelet.objects import Pod
from virtual_kubelet.provider import KeepingLogs, LogOptions
from virtual_kubelet.pure import times
from virtual_kubelet.runtime.threads import Thread, spawn
from virtual_kubelet.testing.conformance.base import Conformance
from virtual_kubelet.testing.conformance.node import MAIN, ConformanceNode, reference, supported

__all__ = ["TestLogs"]

LINES = 3
STEPS = "echo one; echo two >&2; echo three; exit 0"


class TestLogs(Conformance):
    """`container_logs`."""

    @pytest.fixture
    def writer(self, node: ConformanceNode) -> Pod:
        """A pod that has written some lines and runs."""
        node.need(KeepingLogs)
        fields = node.given(node.profile.writing(), "what container writes lines (writes)")
        pod = node.run(fields)
        node.expect(
            lambda: len(node.logs(pod).splitlines()) >= LINES,
            lambda: f"not {LINES} lines: {node.logs(pod)!r}",
        )
        return pod

    def test_whole_lines(self, node: ConformanceNode, writer: Pod) -> None:
        """A log is lines, each with its end, and is there to be read again."""
        text = node.logs(writer)
        assert text.endswith(b"\n")
        assert node.logs(writer).startswith(text)

    def test_tail(self, node: ConformanceNode, writer: Pod) -> None:
        """The last lines, as many as are asked for; 0 is none."""
        lines = node.logs(writer).splitlines()
        assert node.logs(writer, tail=2).splitlines() == lines[-2:]
        assert node.logs(writer, tail=0) == b""
        assert node.logs(writer, tail=len(lines) + 5).splitlines() == lines

    def test_limit(self, node: ConformanceNode, writer: Pod) -> None:
        """So many bytes from the beginning, cut where they end."""
        text = node.logs(writer)
        assert node.logs(writer, limit_bytes=5) == text[:5]
        assert node.logs(writer, limit_bytes=len(text) + 100).startswith(text)
        last = text.splitlines()[-1]
        assert node.logs(writer, tail=1, limit_bytes=3) == last[:3]

    def test_timestamps(self, node: ConformanceNode, writer: Pod) -> None:
        """Each line has its time before it, with nanoseconds, and they rise."""
        stamped = [line.partition(b" ") for line in node.logs(writer, timestamps=True).splitlines()]
        assert [text for _, _, text in stamped] == node.logs(writer).splitlines()
        moments = [times.parse(stamp.decode()) for stamp, _, _ in stamped]
        assert moments == sorted(moments)
        assert [stamp for stamp, _, _ in stamped if not re.search(rb"\.\d{9}(Z|[+-]\d\d:\d\d)$", stamp)] == []

    def test_since(self, node: ConformanceNode, writer: Pod) -> None:
        """Lines of that time or later, no others."""
        text = node.logs(writer)
        assert node.logs(writer, since=0.0) == text
        assert node.logs(writer, since=time.time() + 3600) == b""

    def test_following_goes_on_until_the_end(self, node: ConformanceNode, writer: Pod) -> None:
        """With `follow` a log ends when the container has."""
        before = node.logs(writer)
        with _following(node, writer) as (read, thread):
            node.expect(lambda: bytes(read).startswith(before), lambda: f"{bytes(read)!r} is not {before!r}")
            assert thread.is_alive()
            node.delete(writer)
            thread.join(node.profile.timeout)
            assert not thread.is_alive(), "the log goes on after the container's end"

    def test_closing_wakes_a_reader(self, node: ConformanceNode, writer: Pod) -> None:
        """`close`, from another thread, ends a `read` that waits."""
        with _following(node, writer, tail=0) as (read, thread):
            assert thread.is_alive()
        assert bytes(read) == b""

    def test_what_follows_is_whole(self, node: ConformanceNode) -> None:
        """Old lines, then new ones, to the very last."""
        node.need(KeepingLogs)
        fields = node.script("for n in 1 2 3 4 5 6 7 8; do echo line $n; sleep 0.1; done")
        pod = node.create(node.make(fields))
        node.expect(
            lambda: "waiting" not in node.container(pod).get("state", {"waiting": {}}),
            lambda: f"{node.status(pod)}",
        )
        assert node.logs(pod, follow=True) == b"".join(b"line %d\n" % n for n in range(1, 9))

    def test_the_log_of_what_has_ended(self, node: ConformanceNode) -> None:
        """It is there as long as the pod is; standard output and error can be had apart."""
        node.need(KeepingLogs)
        pod = node.create(node.make(node.script(STEPS)))
        node.expect_phase(pod, "Succeeded")
        assert sorted(node.logs(pod).splitlines()) == [b"one", b"three", b"two"]
        assert node.logs(pod, stream="Stdout") == b"one\nthree\n"
        assert node.logs(pod, stream="Stderr") == b"two\n"

    def test_the_instance_before(self, node: ConformanceNode) -> None:
        """`previous` is the instance before the last restart."""
        node.need(KeepingLogs)
        pod = node.create(node.make(node.script("echo crashing; exit 1"), restartPolicy="Always"))
        node.expect(lambda: node.container(pod).get("restartCount"), lambda: f"{node.status(pod)}")
        assert node.logs(pod, previous=True) == b"crashing\n"

    def test_no_instance_before(self, node: ConformanceNode, writer: Pod) -> None:
        """Without one that is an error, which no other try would cure."""
        with pytest.raises(ProviderError) as raised:
            node.logs(writer, previous=True)
        assert not raised.value.retryable

    def test_what_is_not_there(self, node: ConformanceNode, writer: Pod) -> None:
        """No such container, pod or UID: `NotFound`."""
        namespace, name, uid = reference(writer)
        provider = node.need(KeepingLogs)
        for where in (
            (namespace, name, uid, "nobody"),
            (namespace, "nobody", "another", MAIN),
            (namespace, name, "another", MAIN),
        ):
            with pytest.raises(NotFound):
                provider.container_logs(*where, LogOptions())


@contextlib.contextmanager
def _following(node: ConformanceNode, pod: Pod, **options: Any) -> Iterator[tuple[bytearray, Thread]]:
    """Follow a log in a thread: what it has read, and the thread. Closed at the end, when the thread has to end."""
    provider = node.need(KeepingLogs)
    with supported():
        stream = provider.container_logs(*reference(pod), MAIN, LogOptions(follow=True, **options))
    read = bytearray()

    def follow() -> None:
        while data := stream.read():
            read.extend(data)

    thread = spawn(follow, name="conformance-follow")
    try:
        yield read, thread
    finally:
        stream.close()
        thread.join(node.profile.timeout)
        assert not thread.is_alive(), "close() does not wake a reader"
