from __future__ import annotations

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from virtual_kubelet.providers.hyper import signing
from virtual_kubelet.providers.hyper.auth import HyperAuth
from virtual_kubelet.providers.hyper.signing import Keys, authorization, payload_hash
from virtual_kubelet.runtime.clock import SteppedClock

KEYS = Keys("AKID", "SECRET", "us-west-1")
DATE = "20171220T173030Z"
FILTERS = '{"label":{"hyper-virtual-kubelet-node=vk node":true}}'
VECTORS = [  # made with the service's own client
    ("GET", f"/v1.23/containers/json?all=1&filters={FILTERS}&limit=0", "application/json", b"",
     "f373826f817765b7758f8fed618701c1aa2bfe58df6e86663ce2f045689a385c"),
    ("POST", "/v1.23/containers/pod-nginx-nginx/start?checkpoint=", "text/plain", b"",
     "8f6d404d8e6db7833e19c078920817365159792c164f14e79ba51ee11cafea42"),
    ("POST", "/v1.23/containers/create?name=pod-nginx-nginx", "application/json", b'{"Image":"nginx"}\n',
     "4ed830cc9ca96c6ea0cf505dc9a4fc1deec96992544532534fcdd05253f25a8e"),
    ("DELETE", "/v1.23/containers/abc?force=1&v=1", "application/json", b"",
     "128621b3e0d56bbfd26883b7579449aff95addf8665c35bfecbd6072f72b655f"),
]  # fmt: skip


def headers(content_type, body):
    return {
        "Host": "us-west-1.hyper.sh:443",
        "Content-Type": content_type,
        "X-Hyper-Date": DATE,
        "X-Hyper-Content-Sha256": payload_hash(body),
        "User-Agent": "is not signed",
        "X-Registry-Auth": "neither",
    }


@pytest.mark.parametrize(("method", "target", "content_type", "body", "signature"), VECTORS)
def test_signatures_are_those_of_the_services_client(method, target, content_type, body, signature):
    assert authorization(method, target, headers(content_type, body), KEYS) == (
        "HYPER-HMAC-SHA256 Credential=AKID/20171220/us-west-1/hyper/hyper_request,"
        " SignedHeaders=content-type;host;x-hyper-content-sha256;x-hyper-date,"
        f" Signature={signature}"
    )


def sign(**changes):
    values = {"method": "GET", "target": "/v1.23/info", "keys": KEYS, **changes}
    return authorization(values["method"], values["target"], headers("text/plain", b""), values["keys"])


@pytest.mark.parametrize(
    "change",
    [{"method": "POST"}, {"target": "/v1.23/infos"}, {"target": "/v1.23/info?a=1"}, {"keys": Keys("AKID", "OTHER", "us-west-1")}],
)  # fmt: skip
def test_whatever_is_signed_changes_the_signature(change):
    assert sign(**change) != sign()


@given(st.text(st.characters(codec="ascii", min_codepoint=32), max_size=20))
def test_a_path_means_the_same_however_it_is_quoted(text):
    raw = requests.utils.quote(text, safe="")
    assert sign(target=f"/v1.23/x/{raw}") == sign(
        target=f"/v1.23/x/{requests.utils.quote(text, safe='!*()')}"
    )


def test_a_quoted_slash_separates_like_any_other():
    assert sign(target="/v1.23/images/a%2Fb/json") == sign(target="/v1.23/images//a/b/json")


def test_keys_never_show_their_secret():
    assert "SECRET" not in repr(KEYS)


def test_each_request_is_signed_with_the_time_it_is_sent():
    clock = SteppedClock(1513791030.0)
    auth = HyperAuth(KEYS, clock)
    session = requests.Session()

    def prepared():
        return session.prepare_request(
            requests.Request("GET", "https://us-west-1.hyper.sh:443/v1.23/info", auth=auth)
        )

    first = prepared()
    assert first.headers[signing.DATE] == DATE
    assert first.headers["Host"] == "us-west-1.hyper.sh:443"
    clock.advance(60)
    assert prepared().headers["Authorization"] != first.headers["Authorization"]
