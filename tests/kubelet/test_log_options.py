from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtual_kubelet.errors import RequestError
from virtual_kubelet.kubelet.log_options import parse
from virtual_kubelet.provider import LogOptions
from virtual_kubelet.web.messages import Request

NOW = 1_700_000_000.0


def options(query):
    return parse(Request("GET", f"/containerLogs/a/b/c?{query}").query, NOW)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", LogOptions()),
        ("tailLines=0", LogOptions(tail=0)),
        ("tailLines=10&tailLines=20", LogOptions(tail=10)),
        ("tail=5", LogOptions(tail=5)),
        ("tail=all", LogOptions()),
        ("tail=all&tailLines=3", LogOptions()),
        ("tail=&tailLines=3", LogOptions(tail=3)),
        ("limitBytes=1", LogOptions(limit_bytes=1)),
        ("sinceSeconds=60", LogOptions(since=NOW - 60)),
        ("sinceTime=2023-11-14T22:13:20Z", LogOptions(since=NOW)),
        ("sinceTime=2023-11-14T23:13:20.5%2B01:00", LogOptions(since=NOW + 0.5)),
        ("sinceTime=", LogOptions()),
        ("sinceTime=null", LogOptions()),
        ("follow=true&previous=1&timestamps=T", LogOptions(follow=True, previous=True, timestamps=True)),
        ("follow&timestamps=", LogOptions(follow=True, timestamps=True)),
        ("follow=false&previous=0&timestamps=FALSE", LogOptions()),
        ("follow=anything", LogOptions(follow=True)),
        ("stream=Stderr", LogOptions(stream="Stderr")),
        ("stream=", LogOptions()),
        ("stream=All&tailLines=1", LogOptions(tail=1)),
        ("insecureSkipTLSVerifyBackend=true&x=y", LogOptions()),
    ],
)
def test_what_is_asked_for(query, expected):
    assert options(query) == expected


@pytest.mark.parametrize(
    ("query", "status", "word"),
    [
        ("tailLines=ten", 400, "tailLines"),
        ("tailLines=", 400, "tailLines"),
        ("tailLines=1.5", 400, "tailLines"),
        ("tailLines=9223372036854775808", 400, "tailLines"),
        ("tailLines=" + "9" * 5000, 400, "tailLines"),
        ("tailLines=%D9%A1", 400, "tailLines"),  # a digit, but not one of ours
        ("tail=x", 400, "tailLines"),
        ("limitBytes=x", 400, "limitBytes"),
        ("sinceSeconds=x", 400, "sinceSeconds"),
        ("sinceTime=yesterday", 400, "sinceTime"),
        ("sinceTime=2023-02-30T00:00:00Z", 400, "sinceTime"),
        ("tailLines=-1", 422, "tailLines"),
        ("limitBytes=0", 422, "limitBytes"),
        ("limitBytes=-5", 422, "limitBytes"),
        ("sinceSeconds=0", 422, "sinceSeconds"),
        ("sinceSeconds=1&sinceTime=2023-11-14T22:13:20Z", 422, "at most one"),
        ("stream=stdout", 422, "stream"),
        ("stream=Stdout&tailLines=1", 422, "mutually exclusive"),
    ],
)
def test_what_is_wrong(query, status, word):
    with pytest.raises(RequestError) as caught:
        options(query)
    assert caught.value.status == status
    message = json.loads(caught.value.message)["message"]
    assert word in message
    assert message.startswith("Unable to decode query" if status == 400 else "Invalid request")


@given(
    st.dictionaries(
        st.sampled_from(["tailLines", "tail", "limitBytes", "sinceSeconds", "sinceTime", "follow", "stream"]),
        st.lists(st.text(max_size=20), max_size=2),
    )
)
def test_any_query_is_options_or_an_error_of_the_client(query):
    with contextlib.suppress(RequestError):
        assert isinstance(parse(query, NOW), LogOptions)
