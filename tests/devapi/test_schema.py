"""Bodies in the form that the real server stores."""

from __future__ import annotations

import pytest

from virtual_kubelet.devapi.registry.table import KINDS
from virtual_kubelet.devapi.schema.conform import Mismatch, conform, unknown_fields
from virtual_kubelet.devapi.schema.model import Form, message_of

POD = message_of("", "Pod")
LEASE = message_of("coordination.k8s.io", "Lease")


def stored(value, message=POD):
    return conform(value, message)[0]


def test_every_kind_has_its_types():
    assert [
        kind.kind for kind in KINDS if "create" in kind.verbs and not message_of(kind.group, kind.kind)
    ] == []


def test_numbers_and_names_are_unique():
    seen = set()
    todo = [message_of(kind.group, kind.kind) for kind in KINDS if "create" in kind.verbs]
    while todo:
        message = todo.pop()
        if message in seen:
            continue
        seen.add(message)
        numbers = [field.number for field in message.fields]
        assert len(numbers) == len(set(numbers)), message.name
        names = [field.name for field in message.fields if not field.inline]
        assert len(names) == len(set(names)), message.name
        assert all(not field.inline or field.type.form is Form.ONE for field in message.fields)
        todo += [field.type.message for field in message.fields if field.type.message]
    assert len(seen) > 100


def test_what_says_nothing_is_left_out():
    spec = {"nodeName": "", "hostNetwork": False, "tolerations": [], "nodeSelector": {}, "hostAliases": None}
    assert stored({"spec": spec})["spec"] == {}
    assert stored({"metadata": {"labels": {}, "annotations": None}})["metadata"] == {}


def test_pointers_keep_their_zero():
    spec = {"terminationGracePeriodSeconds": 0, "enableServiceLinks": False}
    assert stored({"spec": spec})["spec"] == spec


def test_what_is_always_written_appears():
    status = stored({"status": {"containerStatuses": [{"name": "a"}]}})["status"]
    assert status["containerStatuses"] == [
        {
            "name": "a",
            "state": {},
            "lastState": {},
            "ready": False,
            "restartCount": 0,
            "image": "",
            "imageID": "",
        }
    ]
    condition = stored({"status": {"conditions": [{"type": "Ready", "status": "True"}]}})["status"][
        "conditions"
    ][0]
    assert condition["lastProbeTime"] is None


def test_unknown_fields_vanish_and_are_told():
    value = {
        "metadata": {"colour": 1},
        "spec": {"containers": [{"name": "a", "imag": "b"}, {"x": {}}]},
        "y": 1,
    }
    body, unknown = conform(value, POD)
    assert unknown
    assert "colour" not in body["metadata"]
    assert unknown_fields(value, POD) == [
        "metadata.colour",
        "spec.containers[0].imag",
        "spec.containers[1].x",
        "y",
    ]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("1000m", "1"),
        ("0.5", "500m"),
        (2, "2"),
        (1.5, "1500m"),
        ("1024Mi", "1Gi"),
    ],
)
def test_quantities_take_their_canonical_form(given, kept):
    resources = {"limits": {"cpu": given}}
    container = stored({"spec": {"containers": [{"name": "a", "resources": resources}]}})["spec"][
        "containers"
    ][0]
    assert container["resources"]["limits"]["cpu"] == kept


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z"),
        ("2026-01-02T03:04:05.9Z", "2026-01-02T03:04:05Z"),
        ("2026-01-02T03:04:05+02:00", "2026-01-02T01:04:05Z"),
    ],
)
def test_times_are_whole_seconds_in_utc(given, kept):
    assert stored({"status": {"startTime": given}})["status"]["startTime"] == kept


@pytest.mark.parametrize(
    "given", ["2026-01-02T03:04:05Z", "2026-01-02T03:04:05.123Z", "2026-01-02T03:04:05.1234567Z"]
)
def test_micro_times_have_six_digits(given):
    with pytest.raises(Mismatch, match=r'cannot parse ".*" as ".000000"'):
        stored({"spec": {"renewTime": given}}, LEASE)


def test_a_micro_time_passes():
    spec = {"renewTime": "2026-01-02T03:04:05.000000Z"}
    assert stored({"spec": spec}, LEASE)["spec"] == spec


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        (
            {"spec": {"containers": [{"ports": [{"containerPort": "80"}]}]}},
            (
                "json: cannot unmarshal string into Go struct field "
                "ContainerPort.spec.containers.ports.containerPort of type int32"
            ),
        ),
        (
            {"spec": {"containers": {}}},
            "json: cannot unmarshal object into Go struct field PodSpec.spec.containers of type []v1.Container",
        ),
        (
            {"metadata": {"labels": {"a": 1}}},
            "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string",
        ),
        (
            {"spec": {"hostNetwork": "yes"}},
            "json: cannot unmarshal string into Go struct field PodSpec.spec.hostNetwork of type bool",
        ),
        (
            {"spec": {"priority": 1 << 40}},
            "json: cannot unmarshal number 1099511627776 into Go struct field PodSpec.spec.priority of type int32",
        ),
        (
            {"status": {"startTime": "yesterday"}},
            'parsing time "yesterday" as "2006-01-02T15:04:05Z07:00": cannot parse "yesterday"',
        ),
    ],
)
def test_wrong_types_are_refused(value, complaint):
    with pytest.raises(Mismatch) as caught:
        stored(value)
    assert str(caught.value) == complaint


@pytest.mark.parametrize("amount", ["1Gb", "", "x", "1 Gi", True])
def test_amounts_that_are_none_are_refused(amount):
    with pytest.raises(Mismatch):
        stored({"spec": {"containers": [{"resources": {"limits": {"cpu": amount}}}]}})


def test_base64_is_checked():
    secret = message_of("", "Secret")
    assert stored({"data": {"a": "Yg=="}}, secret)["data"] == {"a": "Yg=="}
    with pytest.raises(Mismatch, match="illegal base64"):
        stored({"data": {"a": "not base64"}}, secret)


def test_conforming_twice_changes_nothing():
    value = {"spec": {"containers": [{"name": "a"}]}, "status": {"containerStatuses": [{"name": "a"}]}}
    once = stored(value)
    assert conform(once, POD) == (once, False)
