"""The tables read: messages, fields and types."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cache, cached_property

from virtual_kubelet.devapi.schema.containers import CONTAINERS
from virtual_kubelet.devapi.schema.core import CORE
from virtual_kubelet.devapi.schema.events import EVENTS
from virtual_kubelet.devapi.schema.groups import GROUPS
from virtual_kubelet.devapi.schema.meta import META
from virtual_kubelet.devapi.schema.pods import PODS
from virtual_kubelet.devapi.schema.volumes import VOLUMES

__all__ = ["SCALARS", "Field", "Form", "Message", "Type", "Zero", "message_of"]

SCALARS = frozenset(
    {
        "string",
        "bool",
        "int32",
        "int64",
        "bytes",
        "Time",
        "MicroTime",
        "Quantity",
        "IntOrString",
        "any",
        "strings",
    }
)

META_PACKAGE = "io.k8s.apimachinery.pkg.apis.meta.v1"
CORE_PACKAGE = "io.k8s.api.core.v1"


class Form(Enum):
    """How often a type's value stands in a field."""

    ONE = "one"
    LIST = "list"
    MAP = "map"


class Zero(Enum):
    """What is written for a value that says nothing: 0, "", false, an empty list."""

    LEFT_OUT = ""
    WRITTEN = "!"
    KEPT = "?"


@dataclass(frozen=True)
class Type:
    """The type of a field: a scalar or a message, alone, in a list, or in a map."""

    form: Form
    scalar: str = ""
    message: Message | None = None


@dataclass(frozen=True)
class Field:
    """One field; `inline` messages have their fields among ours in JSON."""

    number: int
    name: str
    type: Type
    zero: Zero
    inline: bool = False


@dataclass(eq=False)
class Message:
    """A type with fields."""

    package: str
    name: str
    fields: list[Field] = field(default_factory=list)

    @cached_property
    def by_json_name(self) -> Mapping[str, Field]:
        """The fields as JSON has them, those of inline messages included."""
        found: dict[str, Field] = {}
        for each in self.fields:
            if each.inline and each.type.message is not None:
                found.update(each.type.message.by_json_name)
            else:
                found[each.name] = each
        return found

    @cached_property
    def by_number(self) -> Mapping[int, Field]:
        """The fields as protobuf has them."""
        return {each.number: each for each in self.fields}


_FIELD = re.compile(r"(\d+) (\S+) ([\[{]?)(\w+)[\]}]?([!?]?)")
_FORMS = {"": Form.ONE, "[": Form.LIST, "{": Form.MAP}


class _Package:
    """The messages of one package, which may name those of packages read before."""

    def __init__(self, name: str, known: Iterable[_Package] = ()) -> None:
        self._name = name
        self._known = list(known)
        self.messages: dict[str, Message] = {}

    def read(self, *texts: str) -> _Package:
        """Read tables: first the names, which may be used before they are defined, then the fields."""
        blocks = [block for text in texts for block in _blocks(text)]
        for name, _ in blocks:
            self.messages[name] = Message(self._name, name)
        for name, lines in blocks:
            self.messages[name].fields = [self._field(each) for each in _FIELD.findall(lines)]
        return self

    def _field(self, parts: tuple[str, str, str, str, str]) -> Field:
        number, name, form, type_name, zero = parts
        if type_name in SCALARS:
            type_ = Type(_FORMS[form], scalar=type_name)
        else:
            type_ = Type(_FORMS[form], message=self._find(type_name))
        return Field(int(number), name, type_, Zero(zero), inline=name == "*")

    def _find(self, name: str) -> Message:
        for package in (self, *self._known):
            if name in package.messages:
                return package.messages[name]
        raise LookupError(f"{self._name} has no message {name}")


def _blocks(text: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for line in text.splitlines():
        if line and not line.startswith(" "):
            found.append((line, ""))
        elif line:
            name, lines = found[-1]
            found[-1] = name, f"{lines} {line}"
    return found


@cache
def _packages() -> Mapping[str, Mapping[str, Message]]:
    """Return the messages by API group and name. Read when first needed: some milliseconds."""
    meta = _Package(META_PACKAGE).read(META)
    core = _Package(CORE_PACKAGE, [meta]).read(CONTAINERS, VOLUMES, PODS, CORE)
    packages = {"": core.messages, "meta.k8s.io": meta.messages}
    for short, text in GROUPS.items():
        group = short.partition(".")[0]
        package = _Package(f"io.k8s.api.{short}", [meta, core]).read(text)
        packages[_GROUP_NAMES[group]] = package.messages
    events = _Package("io.k8s.api.events.v1", [meta, core]).read(EVENTS)
    packages["events.k8s.io"] = events.messages
    return packages


_GROUP_NAMES = {
    "authentication": "authentication.k8s.io",
    "authorization": "authorization.k8s.io",
    "certificates": "certificates.k8s.io",
    "coordination": "coordination.k8s.io",
    "policy": "policy",
    "rbac": "rbac.authorization.k8s.io",
}


@cache
def message_of(group: str, kind: str) -> Message | None:
    """Return the message of a kind, or None for one that is not in the tables."""
    return _packages().get(group, {}).get(kind)
