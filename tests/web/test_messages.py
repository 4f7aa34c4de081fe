from __future__ import annotations

import os

import pytest

from virtual_kubelet.web.messages import Headers, Request, text


def test_headers_compare_without_case_and_keep_their_order():
    headers = Headers([("X-A", "1"), ("x-a", "2"), ("Authorization", "Bearer secret")])
    assert headers.get("X-a") == "1"
    assert headers.get_all("x-A") == ["1", "2"]
    assert headers.get("none", "other") == "other"
    assert "x-a" in headers
    assert "y" not in headers
    assert list(headers)[1] == ("x-a", "2")
    assert len(headers) == 3


def test_headers_do_not_show_values():
    assert "secret" not in repr(Headers([("Authorization", "Bearer secret")]))
    assert "secret" not in repr(Request("GET", "/", Headers([("Authorization", "Bearer secret")])))


def test_tokens_come_from_all_fields_of_a_name():
    headers = Headers([("Connection", "keep-alive, Upgrade"), ("connection", ",x, ")])
    assert headers.tokens("CONNECTION") == ["keep-alive", "Upgrade", "x"]


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("/", "/", {}),
        ("/a%20b/c?x=1&x=2&y=&z", "/a b/c", {"x": ["1", "2"], "y": [""], "z": [""]}),
        ("/a?command=sh&command=-c&command=echo+%26", "/a", {"command": ["sh", "-c", "echo &"]}),
        ("http://node:10250/pods?a=b", "/pods", {"a": ["b"]}),
        ("http://node:10250", "/", {}),
        ("*", "*", {}),
    ],
)
def test_the_target_is_taken_apart(target, path, query):
    request = Request("GET", target)
    assert (request.path, request.query) == (path, query)


def test_bytes_that_are_no_text_survive_in_the_query():
    request = Request("GET", "/exec?command=%ff%fe")
    assert os.fsencode(request.first("command")) == b"\xff\xfe"


def test_first_has_a_default():
    request = Request("GET", "/?a=1&a=2")
    assert (request.first("a"), request.first("b"), request.first("b", "c")) == ("1", "", "c")


@pytest.mark.parametrize(
    ("headers", "wants"),
    [
        ([("Connection", "Upgrade"), ("Upgrade", "SPDY/3.1")], True),
        ([("Connection", "keep-alive, upgrade"), ("Upgrade", "h2c, spdy/3.1")], True),
        ([("Upgrade", "SPDY/3.1")], False),
        ([("Connection", "Upgrade"), ("Upgrade", "websocket")], False),
        ([], False),
    ],
)
def test_wants_upgrade(headers, wants):
    assert Request("GET", "/", Headers(headers)).wants_upgrade("SPDY/3.1") is wants


def test_a_request_without_a_connection_has_no_body():
    request = Request("GET", "/")
    assert request.read() == b""
    assert list(request.pieces()) == []


def test_text_ends_with_one_newline():
    response = text(404, "not here\n", {"X": "y"})
    assert (response.status, response.body, tuple(response.headers)) == (404, b"not here\n", (("X", "y"),))
