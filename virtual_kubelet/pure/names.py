"""What Kubernetes allows as a name, a label, a key or a variable.

Each function returns a list of complaints, empty when the value is allowed, in the words of the API server
(apimachinery 1.36): they reach users through the embedded control plane's answers. Lengths count UTF-8 bytes.
"""

from __future__ import annotations

import re

__all__ = [
    "annotation_key",
    "config_map_key",
    "dns_label",
    "dns_subdomain",
    "env_name",
    "label_key",
    "label_value",
    "port_name",
    "service_name",
]

_DNS_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_DNS_SUBDOMAIN = rf"{_DNS_LABEL}(\.{_DNS_LABEL})*"
_SERVICE_NAME = "[a-z]([-a-z0-9]*[a-z0-9])?"
_KEY = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_LABEL_VALUE = f"({_KEY})?"
_ENV_NAME = "[-._a-zA-Z][-._a-zA-Z0-9]*"
_CONFIG_MAP_KEY = "[-._a-zA-Z0-9]+"

_ALPHANUMERIC_ENDS = "and must start and end with an alphanumeric character"
_DNS_LABEL_RULE = f"a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', {_ALPHANUMERIC_ENDS}"
_DNS_SUBDOMAIN_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', "
    + _ALPHANUMERIC_ENDS
)
_SERVICE_NAME_RULE = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', "
    "start with an alphabetic character, and end with an alphanumeric character"
)
_KEY_RULE = f"must consist of alphanumeric characters, '-', '_' or '.', {_ALPHANUMERIC_ENDS}"
_LABEL_VALUE_RULE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', "
    + _ALPHANUMERIC_ENDS
)
_ENV_NAME_RULE = (
    "a valid environment variable name must consist of alphabetic characters, digits, '_', '-', or '.', "
    "and must not start with a digit"
)
_CONFIG_MAP_KEY_RULE = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'"

_EMPTY = "must be non-empty"


def dns_label(value: str) -> list[str]:
    """Check a DNS-1123 label: the name of a namespace, a container, a volume."""
    complaints = _too_long(value, 63)
    if not _full(_DNS_LABEL, value):
        if _full(_DNS_SUBDOMAIN, value):
            complaints.append("must not contain dots")
        else:
            complaints.append(_pattern(_DNS_LABEL_RULE, _DNS_LABEL, "my-name", "123-abc"))
    return complaints


def dns_subdomain(value: str) -> list[str]:
    """Check a DNS-1123 subdomain: the name of a pod, a node, a ConfigMap and most other objects."""
    complaints = _too_long(value, 253)
    if not _full(_DNS_SUBDOMAIN, value):
        complaints.append(_pattern(_DNS_SUBDOMAIN_RULE, _DNS_SUBDOMAIN, "example.com"))
    return complaints


def service_name(value: str) -> list[str]:
    """Check a DNS-1035 label: the name of a Service."""
    complaints = _too_long(value, 63)
    if not _full(_SERVICE_NAME, value):
        complaints.append(_pattern(_SERVICE_NAME_RULE, _SERVICE_NAME, "my-name", "abc-123"))
    return complaints


def label_key(value: str) -> list[str]:
    """Check a qualified name, `[prefix/]name`: the key of a label or a taint, a condition's type."""
    key_rule = _pattern(_KEY_RULE, _KEY, "MyName", "my.name", "123-abc")
    prefix, slash, name = value.rpartition("/")
    if "/" in prefix:
        return [
            f"a valid label key {key_rule} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
        ]
    complaints = []
    if slash and not prefix:
        complaints.append(f"prefix part {_EMPTY}")
    elif slash:
        complaints += [f"prefix part {complaint}" for complaint in dns_subdomain(prefix)]
    if not name:
        complaints.append(f"name part {_EMPTY}")
    complaints += [f"name part {complaint}" for complaint in _too_long(name, 63)]
    if not _full(_KEY, name):
        complaints.append(f"name part {key_rule}")
    return complaints


def annotation_key(value: str) -> list[str]:
    """Check the key of an annotation: a label's key, in which upper case is allowed in the prefix too."""
    return label_key(value.lower())


def label_value(value: str) -> list[str]:
    """Check the value of a label or a taint; "" is allowed."""
    complaints = _too_long(value, 63)
    if not _full(_LABEL_VALUE, value):
        complaints.append(_pattern(_LABEL_VALUE_RULE, _LABEL_VALUE, "MyValue", "my_value", "12345"))
    return complaints


def env_name(value: str) -> list[str]:
    """Check the name of an environment variable as envFrom does: the strict form, without `=` and blanks."""
    complaints = []
    if not _full(_ENV_NAME, value):
        complaints.append(_pattern(_ENV_NAME_RULE, _ENV_NAME, "my.env-name", "MY_ENV.NAME", "MyEnvName1"))
    return complaints + _leads_out(value)


def config_map_key(value: str) -> list[str]:
    """Check a key of a ConfigMap or a Secret, which must do as a file's name."""
    complaints = _too_long(value, 253)
    if not _full(_CONFIG_MAP_KEY, value):
        complaints.append(_pattern(_CONFIG_MAP_KEY_RULE, _CONFIG_MAP_KEY, "key.name", "KEY_NAME", "key-name"))
    return complaints + _leads_out(value)


def port_name(value: str) -> list[str]:
    """Check the name of a container's or a service's port (RFC 6335)."""
    complaints = _too_long(value, 15)
    if not _full("[-a-z0-9]+", value):
        complaints.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not re.search("[a-z]", value):
        complaints.append("must contain at least one letter (a-z)")
    if "--" in value:
        complaints.append("must not contain consecutive hyphens")
    if value.startswith("-") or value.endswith("-"):
        complaints.append("must not begin or end with a hyphen")
    return complaints


def _full(pattern: str, value: str) -> bool:
    return re.fullmatch(pattern, value) is not None


def _too_long(value: str, limit: int) -> list[str]:
    return [f"must be no more than {limit} bytes"] if len(value.encode()) > limit else []


def _leads_out(value: str) -> list[str]:
    """Complain of what would leave the directory, were it a file's name."""
    if value in {".", ".."}:
        return [f"must not be '{value}'"]
    return ["must not start with '..'"] if value.startswith("..") else []


def _pattern(rule: str, pattern: str, *examples: str) -> str:
    shown = " or ".join(f"'{example}', " for example in examples)
    return f"{rule} (e.g. {shown}regex used for validation is '{pattern}')"
