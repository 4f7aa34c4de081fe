"""Logs: written by the supervisor's writer, read by the provider's reader, while files are rotated under both."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.process_pods import container, make_pod, running_node
from support.waiting import eventually

from virtual_kubelet.errors import InvalidInput, NotFound
from virtual_kubelet.provider import LogOptions
from virtual_kubelet.providers.process.logs import LogReader, listed, parse, segments
from virtual_kubelet.providers.process.supervisor.logfile import MAX_LINE, LogWriter
from virtual_kubelet.pure import times
from virtual_kubelet.runtime.threads import spawn


def read(path, **options):
    reader = LogReader(path, LogOptions(**options))
    try:
        return b"".join(iter(reader.read, b""))
    finally:
        reader.close()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "0.log"


@pytest.fixture
def writer(path):
    writer = LogWriter(str(path), 1_000_000, 5)
    yield writer
    writer.close()


def test_the_form_is_that_of_container_runtimes(writer, path):
    writer.write("stdout", b"one\ntw")
    writer.write("stderr", b"oops\n")
    writer.write("stdout", b"o\n")
    entries = [parse(line) for line in path.read_bytes().splitlines()]
    assert [(e.stream, e.whole, e.text) for e in entries] == [
        (b"stdout", True, b"one"),
        (b"stderr", True, b"oops"),
        (b"stdout", True, b"two"),
    ]
    assert all(len(e.time) == len("2026-01-02T03:04:05.678901234Z") for e in entries)
    assert times.parse(entries[0].time.decode()) == pytest.approx(time.time(), abs=5)


def test_a_directory_that_is_removed_while_it_is_walked_holds_nothing(tmp_path, monkeypatch):
    path = tmp_path / "a" / "0.log"
    path.parent.mkdir()
    path.touch()
    assert listed(tmp_path, "*/0.log*") == [path]

    def removed_meanwhile(self, pattern):
        raise FileNotFoundError(path.parent)  # as before Python 3.13

    monkeypatch.setattr(type(path), "glob", removed_meanwhile)
    assert listed(tmp_path, "*/0.log*") == []
    assert segments(path) == [path]


def test_an_unfinished_line_is_written_at_the_end(writer, path):
    writer.write("stdout", b"prompt> ")
    assert path.read_bytes() == b""
    writer.close()
    assert read(path) == b"prompt> \n"


@given(st.lists(st.binary(max_size=40_000), max_size=6))
@settings(max_examples=40, deadline=None)
def test_what_is_written_is_what_is_read(tmp_path_factory, pieces):
    path = tmp_path_factory.mktemp("log") / "0.log"
    writer = LogWriter(str(path), 10_000_000, 5)
    for piece in pieces:
        writer.write("stdout", piece)
    writer.close()
    data = b"".join(pieces)
    assert read(path) == (data if data.endswith(b"\n") or not data else data + b"\n")


def test_a_long_line_is_cut_and_joined_again(writer, path):
    text = b"x" * (2 * MAX_LINE + 7)
    writer.write("stdout", text + b"\n")
    assert [parse(line).whole for line in path.read_bytes().splitlines()] == [False, False, True]
    assert read(path) == text + b"\n"
    stamped = read(path, timestamps=True)
    assert stamped.count(b"Z ") == 1


def test_rotation_keeps_the_newest_files(tmp_path):
    path = tmp_path / "0.log"
    writer = LogWriter(str(path), 5_000, 3)
    for number in range(1000):
        writer.write("stdout", b"line %d\n" % number)
    writer.close()
    files = sorted(tmp_path.iterdir())
    assert len(files) == 3
    assert all(file.stat().st_size <= 5_000 for file in files)
    numbers = [int(line.split()[1]) for line in read(path).splitlines()]
    assert numbers == list(range(numbers[0], 1000))


@pytest.fixture
def rotated(tmp_path):
    """A log of 300 lines in several files; even ones on stdout, odd ones on stderr."""
    path = tmp_path / "0.log"
    writer = LogWriter(str(path), 4_000, 9)
    for number in range(300):
        writer.write("stderr" if number % 2 else "stdout", b"line %d\n" % number)
    writer.close()
    assert len(list(tmp_path.iterdir())) > 3
    return path


def lines(*numbers):
    return b"".join(b"line %d\n" % number for number in numbers)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, lines(*range(300))),
        ({"tail": 0}, b""),
        ({"tail": 1}, lines(299)),
        ({"tail": 150}, lines(*range(150, 300))),
        ({"tail": 300}, lines(*range(300))),
        ({"tail": 1000}, lines(*range(300))),
        ({"limit_bytes": 10}, b"line 0\nlin"),
        ({"limit_bytes": 0}, b""),
        ({"tail": 2, "limit_bytes": 5}, b"line "),
        ({"stream": "Stdout", "tail": 2}, lines(296, 298)),
        ({"stream": "Stderr", "tail": 100}, lines(*range(101, 300, 2))),
        ({"stream": "Stderr"}, lines(*range(1, 300, 2))),
        ({"since": 4_000_000_000.0}, b""),
        ({"since": 0.0}, lines(*range(300))),
    ],
)
def test_options(rotated, options, expected):
    assert read(rotated, **options) == expected


def test_since_is_exact(path):
    stamps = [
        "2026-01-01T00:00:00.000000000Z",
        "2026-01-01T00:00:01.500000000Z",
        "2026-01-01T00:00:02.000000000Z",
    ]
    path.write_text("".join(f"{stamp} stdout F {n}\n" for n, stamp in enumerate(stamps)))
    assert read(path, since=times.parse("2026-01-01T00:00:01.5Z")) == b"1\n2\n"
    assert (
        read(path, since=times.parse("2026-01-01T00:00:01.6Z"), timestamps=True)
        == f"{stamps[2]} 2\n".encode()
    )


def test_what_is_no_entry_is_left_out(path):
    path.write_bytes(
        b"rubbish\n2026-01-01T00:00:00.0Z stdout F text\n\n2026-01-01T00:00:00.0Z stdout X text\n"
    )
    assert read(path) == b"text\n"


def test_a_log_that_is_not_there(path):
    with pytest.raises(NotFound):
        LogReader(path, LogOptions())


def test_a_reader_can_be_closed_before_and_while_it_reads(rotated):
    LogReader(rotated, LogOptions()).close()
    reader = LogReader(rotated, LogOptions())
    assert reader.read()
    reader.close()
    reader.close()
    assert reader.read() == b""


def test_a_reader_that_is_closed_before_its_first_read_begins_lets_go(rotated, monkeypatch):
    reader = LogReader(rotated, LogOptions())
    looks = []

    def closed_after_the_look(self):
        looks.append(self._closed)
        if len(looks) == 1:
            self.close()
        return looks[-1]

    monkeypatch.setattr(LogReader, "_is_closed", closed_after_the_look)
    assert reader.read() == b""
    assert looks[0] is False
    assert reader._lines._file.closed
    assert reader._wake_reader == -1


def test_a_rotation_between_two_looks_at_the_names_repeats_nothing(path, writer, monkeypatch):
    for number in range(100):
        if number == 50:
            writer._rotate()
        writer.write("stdout", b"line %d\n" % number)
    reader = LogReader(path, LogOptions())
    listings = []

    def rotated_after_the_look(found):
        names = segments(found)
        listings.append(names)
        if len(listings) == 2:  # the reader looks for what follows on the file that is written to
            writer._rotate()
            writer.write("stdout", b"line 100\n")
        return names

    monkeypatch.setattr("virtual_kubelet.providers.process.logs.segments", rotated_after_the_look)
    text = b"".join(iter(reader.read, b""))
    reader.close()
    assert text == lines(*range(101))
    assert len(listings) > 1


@pytest.mark.parametrize("options", [{}, {"tail": 70}])
@pytest.mark.parametrize("before", [True, False])
def test_a_rotation_around_the_first_look_at_the_names_loses_and_repeats_nothing(
    path, writer, monkeypatch, before, options
):
    writer.write("stdout", lines(*range(100)))
    rotations = []

    def rotate():
        if not rotations:
            rotations.append(writer._rotate())
            writer.write("stdout", b"line 100\n")

    def look(found):
        if before:
            rotate()
        names = segments(found)
        rotate()
        return names

    monkeypatch.setattr("virtual_kubelet.providers.process.logs.segments", look)
    assert read(path, **options) == lines(*range(30 if options else 0, 101))


def test_a_rotation_that_does_not_end_hides_no_file(path, writer):
    """The writer stands still after the renaming, or the disk is full."""
    for number in range(3):
        writer.write("stdout", b"line %d\n" % number)
        writer._rotate()
    path.unlink()
    assert read(path) == lines(0, 1, 2)
    assert read(path, tail=2) == lines(1, 2)


# -- with a real container


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    place = tmp_path_factory.mktemp("logs")
    config = place / "config.toml"
    config.write_text('log-max-size = "4Ki"\nlog-max-files = 50\n')
    with running_node(place / "state", config_path=str(config)) as node:
        yield node


def test_follow_through_many_rotations_until_the_end(node):
    script = "i=0; while [ $i -lt 3000 ]; do i=$((i+1)); echo line $i; done; sleep 0.3; echo last"
    pod = node.run(make_pod(container(script)))
    eventually(lambda: node.state(pod))
    eventually(lambda: "waiting" not in node.state(pod))
    text = node.logs(pod, follow=True)
    seen = text.split("\n")
    assert seen[-2] == "last"
    numbers = [int(line.split()[1]) for line in seen[:-2]]
    assert numbers == list(range(numbers[0], 3001))
    assert node.phase(pod) in {"Running", "Succeeded"}


def test_follow_shows_lines_as_they_come_and_can_be_closed(node):
    pod = node.run(make_pod(container("read a; echo $a; read b; echo $b; sleep 1000", stdin=True)))
    node.wait_state(pod, "running")
    reader = node.provider.container_logs(*node.ref(pod), LogOptions(follow=True))
    pieces = []

    def run():
        pieces.extend(iter(reader.read, b""))

    thread = spawn(run, name="test-reader")
    reader.close()
    thread.join(30)
    assert not thread.is_alive()
    node.delete(pod, 0)


def test_previous_needs_a_restart(node):
    pod = node.run(make_pod())
    node.wait_state(pod, "running")
    with pytest.raises(InvalidInput, match="previous terminated container"):
        node.logs(pod, previous=True)
    with pytest.raises(NotFound):
        node.logs(pod, "other")
    node.delete(pod, 0)


def test_a_container_that_waits_has_no_log_yet(node):
    item = container(env=[{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "missing", "key": "a"}}}])
    pod = node.run(make_pod(item))
    eventually(lambda: node.state(pod).get("waiting", {}).get("reason") == "CreateContainerConfigError")
    with pytest.raises(NotFound, match="waiting to start"):
        node.logs(pod)
    node.context.config_maps["missing"] = {"a": "1"}
    node.context.change("default", "web")
    node.wait_state(pod, "running")
    node.delete(pod, 0)


def test_a_log_is_found_between_two_names_of_its_file(tmp_path):
    path = tmp_path / "0.log"
    (tmp_path / "0.log.20260101-000000.000000001").write_bytes(
        b"2026-01-01T00:00:00.000000001Z stdout F old\n"
    )
    reader = LogReader(path, LogOptions())
    assert reader.read() == b"old\n"
    reader.close()
    with pytest.raises(NotFound):
        LogReader(tmp_path / "1.log", LogOptions())
