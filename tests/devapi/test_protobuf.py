"""Protobuf bodies, as typed Go clients send them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from virtual_kubelet.devapi.http.protobuf import MAGIC, decode_object

# What `kubectl create configmap c1 --from-literal=a=b` (1.32) sends.
CONFIG_MAP = bytes.fromhex(
    "6b3873000a0f0a0276311209436f6e6669674d6170121c0a120a02633112001a0022002a0032003800420012060a01611201621a002200"
)


def varint(number):
    number &= (1 << 64) - 1
    out = b""
    while number > 0x7F:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def body(api_version, kind, *fields):
    types = field(1, api_version.encode()) + field(2, kind.encode())
    return MAGIC + field(1, types) + field(2, b"".join(fields))


def test_what_kubectl_sends():
    decoded = decode_object(CONFIG_MAP)
    assert (decoded["apiVersion"], decoded["kind"]) == ("v1", "ConfigMap")
    assert decoded["metadata"]["name"] == "c1"
    assert decoded["data"] == {"a": "b"}


def test_bytes_become_base64():
    data = field(2, field(1, b"key") + field(2, b"\x00\xff"))
    assert decode_object(body("v1", "Secret", data))["data"] == {"key": "AP8="}


def test_times_amounts_and_numbers():
    seconds = field(1, 1767323045)
    terminated = field(1, -1) + field(5, seconds)
    status = field(8, field(1, b"main") + field(2, field(3, terminated)))
    limits = field(1, field(1, b"cpu") + field(2, field(1, b"500m")))
    container = field(1, b"main") + field(8, limits) + field(6, field(3, 80))
    pod = decode_object(body("v1", "Pod", field(2, field(2, container)), field(3, status)))
    ended = pod["status"]["containerStatuses"][0]["state"]["terminated"]
    assert ended == {"exitCode": -1, "startedAt": "2026-01-02T03:04:05Z"}
    assert pod["spec"]["containers"][0]["resources"] == {"limits": {"cpu": "500m"}}
    assert pod["spec"]["containers"][0]["ports"] == [{"containerPort": 80}]


def test_what_is_inline_in_json_is_a_message_here():
    source = field(1, field(1, b"settings")) + field(3, 420)  # LocalObjectReference, defaultMode
    volume = field(1, b"v") + field(2, field(19, source))
    volumes = decode_object(body("v1", "Pod", field(2, field(1, volume))))["spec"]["volumes"]
    assert volumes == [{"name": "v", "configMap": {"name": "settings", "defaultMode": 420}}]


def test_micro_times_and_ports():
    moment = field(1, 1767323045) + field(2, 123456000)
    lease = decode_object(body("coordination.k8s.io/v1", "Lease", field(2, field(4, moment))))
    assert lease["spec"]["renewTime"] == "2026-01-02T03:04:05.123456Z"
    probe = field(1, field(2, field(2, field(1, 1) + field(3, b"http"))))
    container = field(1, b"main") + field(10, probe)
    pod = decode_object(body("v1", "Pod", field(2, field(2, container))))
    assert pod["spec"]["containers"][0]["livenessProbe"] == {"httpGet": {"port": "http"}}


def test_unknown_fields_are_skipped():
    extra = field(200, b"x") + varint(201 << 3 | 1) + b"\0" * 8 + varint(202 << 3 | 5) + b"\0" * 4
    assert decode_object(body("v1", "Namespace", extra, field(1, field(1, b"n"))))["metadata"] == {
        "name": "n"
    }


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"json",
        MAGIC,
        CONFIG_MAP[:-3],
        body("v1", "Nothing"),
        MAGIC + b"\xff" * 20,
        body("v1", "ConfigMap", field(1, 5)),
        body("v1", "Pod", field(2, field(4, b"x"))),
    ],
)
def test_what_cannot_be_read(data):
    with pytest.raises(ValueError):
        decode_object(data)


@settings(max_examples=200)
@given(st.binary(max_size=60))
def test_garbage_never_does_worse_than_a_value_error(data):
    try:
        decode_object(body("v1", "Pod", data))
    except ValueError:
        pass


def test_over_http(api):
    path = "/api/v1/namespaces/default/configmaps"
    made = api.create(path, CONFIG_MAP, content_type="application/vnd.kubernetes.protobuf")
    assert made.status == 201
    assert made.json["data"] == {"a": "b"}
    assert api.create(path, b"k8s\0\xff", content_type="application/vnd.kubernetes.protobuf").status == 400
