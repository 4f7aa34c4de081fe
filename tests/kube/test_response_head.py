from __future__ import annotations

import io
from http.client import BadStatusLine, HTTPException, HTTPResponse, LineTooLong, RemoteDisconnected

import pytest

from virtual_kubelet.kube.response_head import PlainResponse


class Wire:
    """Just enough of a socket."""

    def __init__(self, data):
        self.data = data

    def makefile(self, mode):
        return io.BytesIO(self.data)


def begun(response_class, data):
    response = response_class(Wire(data), method="GET")
    response.begin()
    return response


def seen(response):
    names = ("version", "status", "reason", "chunked", "length", "will_close")
    return [getattr(response, name) for name in names], response.headers.items(), response.read()


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\nContent-Length: 9\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\n\r\nuntil the end",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 204\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\nA: b\r\n\r\nHTTP/1.1 409 Conflict\r\nContent-Length: 0\r\n\r\n",
        b'HTTP/1.1 200 OK\r\nWarning: 299 - "a"\r\nWarning: 299 - "b"\r\nContent-Length:0\r\n\r\n',
        b"HTTP/1.1 200 OK\nContent-Length: 2\nX-Empty:\n\n{}",
        b"HTTP/1.1 200 OK\r\nX-Long: one\r\n two\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nX-Latin: \xe9\r\nContent-Length: -1\r\nConnection: close\r\n\r\nrest",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nno header at all\r\nX: y\r\n\r\n{}",
    ],
)
def test_it_reads_what_the_standard_library_reads(data):
    assert seen(begun(PlainResponse, data)) == seen(begun(HTTPResponse, data))


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", RemoteDisconnected),
        (b"SSH-2.0-OpenSSH\r\n\r\n", BadStatusLine),
        (b"HTTP/2 200 OK\r\n\r\n", BadStatusLine),
        (b"HTTP/1.1 20 OK\r\n\r\n", BadStatusLine),
        (b"HTTP/1.1 099 No\r\n\r\n", BadStatusLine),
        (b"HTTP/1.1 ok\r\n\r\n", BadStatusLine),
        (b"HTTP/1.1 200 " + b"x" * 70000, LineTooLong),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70000, LineTooLong),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 101 + b"\r\n", HTTPException),
    ],
)
def test_what_is_no_answer(data, error):
    with pytest.raises(error):
        begun(PlainResponse, data)


def test_hints_are_not_the_answer():
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
    response = begun(PlainResponse, hints + b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
    assert (response.status, response.read()) == (200, b"{}")


def test_a_length_that_is_no_number_of_bytes():
    response = begun(PlainResponse, b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\nrest")
    assert (response.length, response.will_close) == (None, True)
