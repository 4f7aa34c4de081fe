from __future__ import annotations

import pytest
from support.lookups import FakeLookups, config_map, secret

from virtual_kubelet.errors import ApiForbidden, ApiUnavailable
from virtual_kubelet.pure.problems import Problem
from virtual_kubelet.pure.sources import Source, read

FORBIDDEN = ApiForbidden("no right to read it")
DOWN = ApiUnavailable("connection refused")


def test_config_maps():
    source = read(
        FakeLookups([config_map("m", {"b": "2", "a": "é"}, binary={"raw": b"\xff"})]),
        "ConfigMap",
        "ns",
        "m",
        optional=False,
    )
    assert isinstance(source, Source)
    assert not source.secret
    assert source.keys() == ["a", "b"]
    assert source.text("a") == "é"
    assert source.text("raw") is None  # as the kubelet: no variables from binaryData
    assert source.files() == {"a": "é".encode(), "b": b"2", "raw": b"\xff"}


def test_secrets():
    source = read(
        FakeLookups(secrets=[secret("s", {"a": "é", "b": b"\xff"})]), "Secret", "ns", "s", optional=False
    )
    assert isinstance(source, Source)
    assert source.secret
    assert source.keys() == ["a", "b"]
    assert source.text("a") == "é"
    assert source.text("gone") is None
    assert source.files() == {"a": "é".encode(), "b": b"\xff"}
    with pytest.raises(ValueError, match="the value is not UTF-8 text"):
        source.text("b")


def test_objects_without_data():
    for kind in ("ConfigMap", "Secret"):
        bare = {"metadata": {"name": "x", "namespace": "ns"}, "data": None}
        source = read(FakeLookups([bare], [bare]), kind, "ns", "x", optional=False)
        assert source.keys() == []
        assert source.text("a") is None
        assert source.files() == {}


def test_values_that_no_variable_can_hold():
    source = Source(config_map("m", {"a": "x\0y"}), secret=False)
    with pytest.raises(ValueError, match="the value holds a NUL"):
        source.text("a")
    assert source.files() == {"a": b"x\0y"}


def test_broken_base64():
    broken = Source({"metadata": {}, "data": {"a": "%%%"}}, secret=True)
    with pytest.raises(ValueError, match="the value is not base64"):
        broken.text("a")
    with pytest.raises(ValueError, match="the value is not base64"):
        broken.files()
    with pytest.raises(ValueError, match="the value is not base64"):
        Source({"metadata": {}, "binaryData": {"a": "%%%"}}, secret=False).files()


@pytest.mark.parametrize(
    ("kind", "optional", "variable", "expected"),
    [
        ("ConfigMap", False, "", Problem("MandatoryConfigMapNotFound", 'configmap "x" not found', True)),
        ("ConfigMap", False, "V", Problem("MandatoryConfigMapNotFound", 'configmap "x" not found', True)),
        ("ConfigMap", True, "", Problem("OptionalConfigMapNotFound", 'configmap "x" not found', False)),
        ("ConfigMap", True, "V", Problem("OptionalConfigMapNotFound", 'skipping optional envvar "V": configmap "x" not found', False)),
        ("Secret", False, "", Problem("MandatorySecretNotFound", 'secret "x" not found', True)),
        ("Secret", False, "V", Problem("MandatorySecretNotFound", 'secret "x" not found', True)),
        ("Secret", True, "", Problem("OptionalSecretNotFound", 'secret "x" not found', False)),
        ("Secret", True, "V", Problem("OptionalSecretNotFound", 'skipping optional envvar "V": secret "x" not found', False)),
    ],
)  # fmt: skip
def test_what_is_not_there(kind, optional, variable, expected):
    assert read(FakeLookups(), kind, "ns", "x", optional=optional, variable=variable) == expected


@pytest.mark.parametrize(("kind", "word"), [("ConfigMap", "configmap"), ("Secret", "secret")])
@pytest.mark.parametrize(
    ("error", "optional", "variable", "reason", "message", "blocking"),
    [
        (FORBIDDEN, False, "V", "FailedToReadMandatory", 'failed to read {word} "x"', True),
        (FORBIDDEN, True, "", "FailedToReadOptional", 'failed to read {word} "x"', False),
        (FORBIDDEN, True, "V", "FailedToReadOptional", 'skipping optional envvar "V": failed to read {word} "x"', False),
        # what is only out of reach for the moment is waited for, optional or not
        (DOWN, False, "V", "FailedToReadMandatory", 'failed to read {word} "x"', True),
        (DOWN, True, "V", "FailedToReadOptional", 'failed to read {word} "x"', True),
    ],
)  # fmt: skip
def test_what_cannot_be_read(kind, word, error, optional, variable, reason, message, blocking):
    problem = read(
        FakeLookups(failing={"x": error}),
        kind,
        "ns",
        "x",
        optional=optional,
        variable=variable,
        container="c",
    )
    assert problem == Problem(
        f"{reason}{kind}",
        message.format(word=word),
        blocking,
        error=f'failed to read {word} "x": {error}',
        container="c",
    )
    assert problem.text == problem.error
