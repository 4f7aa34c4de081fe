from __future__ import annotations

import io
import json
import logging

import pytest

from virtual_kubelet.errors import ConfigError
from virtual_kubelet.runtime import logs

JWT = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJrdWJlcm5ldGVzIn0.c2lnbmF0dXJl"


@pytest.fixture
def stream():
    stream = io.StringIO()
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    for name in ("urllib3", "urllib3.connectionpool", "requests", "kubernetes", "botocore", "azure", "msal"):
        logging.getLogger(name).setLevel(logging.NOTSET)


def test_text(stream):
    logs.configure("info", "text", stream)
    logging.getLogger("virtual_kubelet.kube.client").info("hello %s", "world")
    logging.getLogger("virtual_kubelet").debug("unseen")
    line = stream.getvalue()
    assert line.endswith("INFO    hello world [kube.client MainThread]\n")
    assert line[:2] == "20"
    assert line[23] == "Z"


def test_what_others_say_of_their_connections_is_left_out(stream):
    logs.configure("debug", "text", stream)
    logging.getLogger("urllib3.connectionpool").warning("Connection pool is full, discarding connection")
    logging.getLogger("urllib3.connectionpool").error("a certificate does not match")
    assert stream.getvalue().count("\n") == 1


@pytest.mark.fails_inside
def test_json_lines_hold_extras_and_tracebacks(stream):
    logs.configure("debug", "json", stream)
    try:
        raise ValueError("odd")
    except ValueError:
        logging.getLogger("virtual_kubelet.x").exception("oh", extra={"pod": "a/b", "token": "abc"})
    (line,) = stream.getvalue().splitlines()
    record = json.loads(line)
    assert record["level"] == "error"
    assert record["msg"] == "oh"
    assert record["pod"] == "a/b"
    assert record["token"] == "[redacted]"
    assert "ValueError: odd" in record["error"]


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_secrets_do_not_pass(stream, log_format):
    logs.configure("info", log_format, stream)
    logging.getLogger("x").warning("Authorization: Bearer %s", JWT)
    assert "eyJ" not in stream.getvalue()
    assert "[redacted]" in stream.getvalue()


def test_configure_again_replaces_its_handler_only(stream):
    before = len(logging.getLogger().handlers)
    logs.configure("info", "text", stream)
    logs.configure("debug", "json", stream)
    assert len(logging.getLogger().handlers) == before + 1
    logging.getLogger("urllib3.connectionpool").debug("a request with everything in it")
    assert stream.getvalue() == ""


@pytest.mark.parametrize(("level", "log_format"), [("loud", "text"), ("info", "xml")])
def test_unknown_choices_name_the_known(level, log_format):
    with pytest.raises(ConfigError, match="use one of"):
        logs.configure(level, log_format)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Bearer abcdefgh123", "Bearer [redacted]"),
        (f"got {JWT}!", "got [redacted]!"),
        ("https://user:pass@host/x", "https://[redacted]@host/x"),
        ("a -----BEGIN EC PRIVATE KEY-----\nMIG\n-----END EC PRIVATE KEY----- b", "a [redacted] b"),
        ("a -----BEGIN PRIVATE KEY-----\nMIG", "a [redacted]"),
        ("the bearer of bad news", "the bearer of bad news"),
        ("http://host:80/path@x", "http://host:80/path@x"),
    ],
)
def test_redact_text(text, expected):
    assert logs.redact_text(text) == expected


def test_redact_goes_by_keys_and_forms():
    value = {
        "password": "x",
        "clientSecret": "y",
        "client-key-data": "z",
        "tokenFile": "/etc/token",
        "secretName": "web",
        "tokens": {"inner": "kept", "apiKey": "k"},
        "automountServiceAccountToken": True,
        "list": [f"Bearer {JWT}", 5, None],
        "empty_token": "",
    }
    assert logs.redact(value) == {
        "password": "[redacted]",
        "clientSecret": "[redacted]",
        "client-key-data": "[redacted]",
        "tokenFile": "/etc/token",
        "secretName": "web",
        "tokens": {"inner": "kept", "apiKey": "[redacted]"},
        "automountServiceAccountToken": True,
        "list": ["Bearer [redacted]", 5, None],
        "empty_token": "",
    }
