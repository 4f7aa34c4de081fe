from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtual_kubelet.wire.protocol_errors import RemoteProtocolError
from virtual_kubelet.wire.remotecommand import (
    CHANNELS,
    SPDY_VERSIONS,
    Outcome,
    ResizeDecoder,
    Streams,
    failure,
    negotiate,
    outcome,
)


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        (["v5.channel.k8s.io", "v4.channel.k8s.io", "v3.channel.k8s.io"], "v4.channel.k8s.io"),
        (["channel.k8s.io", "v4.channel.k8s.io"], "channel.k8s.io"),
        (["v9.channel.k8s.io"], None),
        ([], None),
    ],
)
def test_the_clients_first_known_protocol_wins(offered, chosen):
    assert negotiate(offered, SPDY_VERSIONS) == chosen


@pytest.mark.parametrize(
    ("streams", "version", "names"),
    [
        (Streams(stdout=True), 4, {"error", "stdout"}),
        (Streams(stdin=True, stdout=True, stderr=True), 4, {"error", "stdin", "stdout", "stderr"}),
        (Streams(stdin=True, stdout=True, stderr=True, tty=True), 4, {"error", "stdin", "stdout", "resize"}),
        (Streams(stdin=True, stdout=True, tty=True), 3, {"error", "stdin", "stdout", "resize"}),
        (Streams(stdin=True, stdout=True, tty=True), 2, {"error", "stdin", "stdout"}),
        (Streams(stdin=True), 1, {"error", "stdin"}),
    ],
)
def test_streams_of_each_version(streams, version, names):
    assert streams.names(version) == names
    assert names <= CHANNELS.keys()


def test_success():
    assert json.loads(outcome(0, 4)) == {"metadata": {}, "status": "Success"}
    assert outcome(0, 3) == b""
    assert Outcome.parse(outcome(0, 5), 5) == Outcome(0)
    assert Outcome.parse(b"", 3) == Outcome(0)


@pytest.mark.parametrize(("code", "shown"), [(1, 1), (7, 7), (255, 255), (256, 255), (-9, 137), (-300, 255)])
def test_exit_codes(code, shown):
    document = json.loads(outcome(code, 4))
    assert document["status"] == "Failure"
    assert document["reason"] == "NonZeroExitCode"
    assert document["details"] == {"causes": [{"reason": "ExitCode", "message": str(shown)}]}
    text = f"command terminated with non-zero exit code: exit status {shown}"
    assert document["message"] == text
    assert outcome(code, 3) == text.encode()
    assert Outcome.parse(outcome(code, 4), 4) == Outcome(shown, text)
    assert Outcome.parse(outcome(code, 3), 3) == Outcome(None, text)


def test_failures():
    document = json.loads(failure("error executing command in container: no", 4))
    assert document["reason"] == "InternalError"
    assert document["code"] == 500
    assert document["message"] == "Internal error occurred: error executing command in container: no"
    assert failure("no", 1) == b"no"
    assert Outcome.parse(failure("no", 4), 4) == Outcome(None, "Internal error occurred: no")


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"{}", b'{"status":"Odd"}', b"[" * 100000])
def test_what_is_no_status(data):
    with pytest.raises(RemoteProtocolError):
        Outcome.parse(data, 4)


@pytest.mark.parametrize(
    "details",
    [None, 3, {}, {"causes": None}, {"causes": [3]}, {"causes": [{"reason": "ExitCode", "message": "x"}]}],
)
def test_a_status_without_an_exit_code(details):
    document = json.dumps({"status": "Failure", "message": "no", "details": details}).encode()
    assert Outcome.parse(document, 4) == Outcome(None, "no")


def test_resizes_in_any_form():
    decoder = ResizeDecoder()
    assert decoder.feed(b'{"Width":101,"Height":33}\n{"Height":1,"Wid') == [(101, 33)]
    assert decoder.feed(b'th":2}') == [(2, 1)]
    assert decoder.feed(b'\n \n{"Width":5}') == [(5, 0)]


@pytest.mark.parametrize(
    "data",
    [
        b"{}}",
        b"hello}",
        b'{"Width":-1,"Height":2}',
        b'{"Width":65536,"Height":2}',
        b'{"Width":"1","Height":2}',
        b'{"Width":true,"Height":2}',
        b"3}",
        b"\xff}",
        b"[" * 60000 + b"}",
        b" " * 70000,
    ],
)
def test_what_is_no_resize(data):
    with pytest.raises(RemoteProtocolError):
        ResizeDecoder().feed(data)


sizes = st.lists(st.tuples(st.integers(0, 65535), st.integers(0, 65535)), max_size=6)


@given(sizes, st.integers(1, 20), st.sampled_from(["", "\n", " \r\n"]))
def test_any_split_gives_the_same_sizes(wanted, step, between):
    data = "".join(json.dumps({"Width": w, "Height": h}) + between for w, h in wanted).encode()
    decoder, found = ResizeDecoder(), []
    for start in range(0, len(data), step):
        found += decoder.feed(data[start : start + step])
    assert found == wanted


@given(st.lists(st.binary(max_size=30), max_size=10))
def test_garbage_raises_only_the_protocol_error(pieces):
    decoder = ResizeDecoder()
    try:
        for piece in pieces:
            decoder.feed(piece)
    except RemoteProtocolError:
        pass
