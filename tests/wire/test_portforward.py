from __future__ import annotations

import pytest

from virtual_kubelet.wire.portforward import (
    Pair,
    Pairing,
    StreamHeaders,
    error_text,
    parse_ports,
    preamble,
)
from virtual_kubelet.wire.protocol_errors import RemoteProtocolError


def headers(kind="data", port="80", request_id="0"):
    pairs = (("streamtype", kind), ("port", port), ("requestid", request_id))
    return tuple((name, value) for name, value in pairs if value)


@pytest.mark.parametrize(
    ("stream_id", "given", "parsed"),
    [
        (1, headers(), StreamHeaders("data", 80, "0")),
        (1, headers("error", "65535", "17"), StreamHeaders("error", 65535, "17")),
        (5, headers("error", request_id=""), StreamHeaders("error", 80, "stream 5")),
        (7, headers("data", request_id=""), StreamHeaders("data", 80, "stream 5")),
    ],
)
def test_stream_headers(stream_id, given, parsed):
    assert StreamHeaders.parse(stream_id, given) == parsed


@pytest.mark.parametrize(
    "given",
    [
        headers(""),
        headers("stdin"),
        headers(port=""),
        headers(port="0"),
        headers(port="65536"),
        headers(port="-1"),
        headers(port="x"),
        headers(port="1e3"),
        headers(port="٣"),
        headers(port="9" * 5000),
    ],
)
def test_wrong_stream_headers(given):
    with pytest.raises(RemoteProtocolError):
        StreamHeaders.parse(1, given)


def test_pairs_by_request():
    pairing = Pairing(timeout=30)
    assert pairing.add(1, StreamHeaders("error", 80, "0"), 0) is None
    assert pairing.add(3, StreamHeaders("error", 81, "1"), 1) is None
    assert pairing.add(5, StreamHeaders("data", 81, "1"), 2) == Pair(81, data_id=5, error_id=3)
    assert len(pairing) == 1
    assert pairing.add(7, StreamHeaders("data", 80, "0"), 3) == Pair(80, data_id=7, error_id=1)
    assert len(pairing) == 0


@pytest.mark.parametrize("second", [StreamHeaders("error", 80, "0"), StreamHeaders("data", 81, "0")])
def test_streams_that_do_not_fit(second):
    pairing = Pairing(timeout=30)
    pairing.add(1, StreamHeaders("error", 80, "0"), 0)
    with pytest.raises(RemoteProtocolError):
        pairing.add(3, second, 0)
    assert pairing.add(5, StreamHeaders("data", 80, "0"), 0) == Pair(80, 5, 1)


def test_lone_streams_expire():
    pairing = Pairing(timeout=30)
    assert pairing.next_expiry() is None
    pairing.add(1, StreamHeaders("error", 80, "0"), 100)
    pairing.add(3, StreamHeaders("data", 80, "1"), 110)
    assert pairing.next_expiry() == 130
    assert pairing.expired(129) == []
    assert pairing.expired(130) == [1]
    assert pairing.next_expiry() == 140


def test_lone_streams_that_were_reset_are_forgotten():
    pairing = Pairing(timeout=30)
    pairing.add(1, StreamHeaders("error", 80, "0"), 100)
    pairing.forget(2)
    assert len(pairing) == 1
    pairing.forget(1)
    assert len(pairing) == 0


def test_the_error_is_the_kubelets():
    assert error_text(80, "default/web", "1-2", "refused") == (
        b"error forwarding port 80 to pod default/web, uid 1-2: refused"
    )


@pytest.mark.parametrize(
    ("values", "ports"),
    [(["80"], [80]), (["80,443"], [80, 443]), (["80", "443", "80"], [80, 443, 80]), (["80, 443"], [80, 443])],
)
def test_ports_of_the_query(values, ports):
    assert parse_ports(values) == ports


@pytest.mark.parametrize("values", [[], [""], ["80,"], ["x"], ["0"], ["80"] * 101])
def test_wrong_ports_of_the_query(values):
    with pytest.raises(RemoteProtocolError):
        parse_ports(values)


def test_base64_has_channels_for_five_ports():
    assert len(parse_ports(["1,2,3,4,5"], base64=True)) == 5
    with pytest.raises(RemoteProtocolError):
        parse_ports(["1,2,3,4,5,6"], base64=True)


def test_preamble():
    assert preamble(8080) == b"\x90\x1f"
