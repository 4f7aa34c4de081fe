from __future__ import annotations

import pytest

from virtual_kubelet.cli import values
from virtual_kubelet.errors import ConfigError
from virtual_kubelet.settings import TaintSetting


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("30", 30),
        ("1.5", 1.5),
        ("30s", 30),
        ("1m0s", 60),
        ("1m30s", 90),
        ("500ms", 0.5),
        ("4h", 14400),
    ],
)
def test_durations(text, seconds):
    assert values.duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "soon", "10 s s", "-5s", "-1", "1x", "s", "nan", "inf", "1m-30s"])
def test_what_is_not_a_duration(text):
    with pytest.raises(ConfigError, match="duration"):
        values.duration(text)


@pytest.mark.parametrize(
    ("text", "value"), [("true", True), ("1", True), ("T", True), ("false", False), ("", False), (True, True)]
)
def test_booleans(text, value):
    assert values.boolean(text) is value


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (values.boolean, "maybe"),
        (values.integer, "1.5"),
        (values.number, "much"),
        (values.number, "nan"),
        (values.number, "inf"),
        (values.labels, "a"),
        (values.labels, "=b"),
        (values.labels, "a=b c"),
        (values.labels, {"a/b/c": ""}),
        (values.ip_address, "x"),
        (values.ip_address, "10.0.0.1/8"),
        (values.ip_addresses, "10.0.0.1,x"),
        (values.namespace, "Not_A_Name"),
        (values.text, 5),
        (values.taint, "=value"),
        (values.taint, "key:Sometimes"),
    ],
)
def test_wrong_values_are_named(parse, text):
    with pytest.raises(ConfigError):
        parse(text)


@pytest.mark.parametrize(
    ("text", "taint"),
    [
        ("a", TaintSetting("a", "", "NoSchedule")),
        ("a=b", TaintSetting("a", "b", "NoSchedule")),
        ("a:NoExecute", TaintSetting("a", "", "NoExecute")),
        ("x.io/a=b:PreferNoSchedule", TaintSetting("x.io/a", "b", "PreferNoSchedule")),
    ],
)
def test_taints(text, taint):
    assert values.taint(text) == taint


def test_addresses_and_labels():
    assert values.ip_addresses("10.0.0.10, fd00::a") == ("10.0.0.10", "fd00::a")
    assert values.ip_addresses(["10.0.0.10"]) == ("10.0.0.10",)
    assert values.labels("x.io/a=b,c=") == {"x.io/a": "b", "c": ""}
    assert values.labels({"a": 1}) == {"a": "1"}
