from __future__ import annotations

import pytest

from virtual_kubelet.pure import names

DNS_LABEL_RULE = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end "
    "with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
DNS_SUBDOMAIN_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start "
    "and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
KEY_RULE = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)


@pytest.mark.parametrize("value", ["a", "0", "a-b", "a" * 63, "1-2-3"])
def test_dns_labels(value):
    assert names.dns_label(value) == []


@pytest.mark.parametrize(
    ("value", "complaints"),
    [
        ("", [DNS_LABEL_RULE]),
        ("A", [DNS_LABEL_RULE]),
        ("-a", [DNS_LABEL_RULE]),
        ("a-", [DNS_LABEL_RULE]),
        ("a\n", [DNS_LABEL_RULE]),
        ("é", [DNS_LABEL_RULE]),
        ("a.b", ["must not contain dots"]),
        ("a" * 64, ["must be no more than 63 bytes"]),
        ("é" * 32, ["must be no more than 63 bytes", DNS_LABEL_RULE]),
    ],
)
def test_dns_labels_refused(value, complaints):
    assert names.dns_label(value) == complaints


@pytest.mark.parametrize("value", ["a", "a.b", "web-0.example.com", "a" * 253])
def test_dns_subdomains(value):
    assert names.dns_subdomain(value) == []


@pytest.mark.parametrize(
    ("value", "complaints"),
    [
        ("", [DNS_SUBDOMAIN_RULE]),
        ("a..b", [DNS_SUBDOMAIN_RULE]),
        ("Web", [DNS_SUBDOMAIN_RULE]),
        ("a" * 254, ["must be no more than 253 bytes"]),
    ],
)
def test_dns_subdomains_refused(value, complaints):
    assert names.dns_subdomain(value) == complaints


def test_service_names_start_with_a_letter():
    assert names.service_name("a-1") == []
    (complaint,) = names.service_name("1a")
    assert complaint.startswith("a DNS-1035 label must consist of lower case")
    assert names.service_name("a" * 64) == ["must be no more than 63 bytes"]


@pytest.mark.parametrize("value", ["a", "A.b_c-9", "example.com/A", "a" * 63, f"{'a' * 253}/b"])
def test_label_keys(value):
    assert names.label_key(value) == []


@pytest.mark.parametrize(
    ("value", "complaints"),
    [
        ("", ["name part must be non-empty", f"name part {KEY_RULE}"]),
        ("a/", ["name part must be non-empty", f"name part {KEY_RULE}"]),
        ("/a", ["prefix part must be non-empty"]),
        ("A/a", [f"prefix part {DNS_SUBDOMAIN_RULE}"]),
        ("_a", [f"name part {KEY_RULE}"]),
        ("a" * 64, ["name part must be no more than 63 bytes"]),
        (
            "a/b/c",
            [
                f"a valid label key {KEY_RULE} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            ],
        ),
    ],
)
def test_label_keys_refused(value, complaints):
    assert names.label_key(value) == complaints


def test_annotation_keys_may_have_capitals_in_the_prefix():
    assert names.annotation_key("Example.com/A") == []
    assert names.annotation_key("Example_com/A") == [f"prefix part {DNS_SUBDOMAIN_RULE}"]


def test_label_values():
    for value in ("", "a", "A_b.c-9", "a" * 63):
        assert names.label_value(value) == []
    (complaint,) = names.label_value("a b")
    assert complaint.startswith("a valid label must be an empty string or consist of alphanumeric characters")
    assert names.label_value("a" * 64) == ["must be no more than 63 bytes"]


def test_env_names():
    for value in ("A", "_a", "a.b-c", "x.", "-", "a..b"):
        assert names.env_name(value) == []
    for value in ("", "1A", "A=B", "A B"):
        (complaint,) = names.env_name(value)
        assert complaint.startswith("a valid environment variable name must consist of alphabetic characters")
    assert names.env_name(".") == ["must not be '.'"]
    assert names.env_name("..") == ["must not be '..'"]
    assert names.env_name("..a") == ["must not start with '..'"]


def test_config_map_keys():
    for value in ("a", "1.conf", "A_B-c", ".hidden"):
        assert names.config_map_key(value) == []
    (complaint,) = names.config_map_key("a/b")
    assert complaint.startswith("a valid config key must consist of alphanumeric characters")
    assert names.config_map_key("a" * 254) == ["must be no more than 253 bytes"]
    assert names.config_map_key("..data") == ["must not start with '..'"]


def test_port_names():
    for value in ("http", "a", "9p", "a-b-c"):
        assert names.port_name(value) == []
    letter = "must contain at least one letter (a-z)"
    charset = "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)"
    assert names.port_name("") == [charset, letter]
    assert names.port_name("80") == [letter]
    assert names.port_name("Http") == [charset]
    assert names.port_name("a--b") == ["must not contain consecutive hyphens"]
    assert names.port_name("-a") == names.port_name("a-") == ["must not begin or end with a hyphen"]
    assert names.port_name("a" * 16) == ["must be no more than 15 bytes"]
