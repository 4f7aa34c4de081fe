r"""Label selectors and field selectors: their text, their JSON, and what they match.

A label selector is written `app=web,tier!=db,zone in (a,b),!legacy` in a query, and as `metav1.LabelSelector`
(matchLabels, matchExpressions) in an object. A field selector is `spec.nodeName=n1,status.phase!=Failed`, with
`\`, `,` and `=` in a value escaped by a backslash. Grammar and meaning are those of
`k8s.io/apimachinery/pkg/labels` and `pkg/fields`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

from virtual_kubelet.objects import JsonObject
from virtual_kubelet.pure import names

__all__ = [
    "FieldSelector",
    "FieldTerm",
    "LabelSelector",
    "Operator",
    "Requirement",
    "escape_field_value",
    "field_selector",
    "from_label_selector",
    "label_selector",
]


class Operator(Enum):
    """How a requirement compares; the value is how the text form writes it."""

    EXISTS = "exists"
    DOES_NOT_EXIST = "!"
    EQUALS = "="
    NOT_EQUALS = "!="
    IN = "in"
    NOT_IN = "notin"
    GREATER_THAN = ">"
    LESS_THAN = "<"


_ANY_OF = frozenset({Operator.EQUALS, Operator.IN})
_NONE_OF = frozenset({Operator.NOT_EQUALS, Operator.NOT_IN})
_UNARY = frozenset({Operator.EXISTS, Operator.DOES_NOT_EXIST})
_SETS = frozenset({Operator.IN, Operator.NOT_IN})
_NUMERIC = frozenset({Operator.GREATER_THAN, Operator.LESS_THAN})
_INTEGER = re.compile(r"[+-]?\d+", re.ASCII)


@dataclass(frozen=True)
class Requirement:
    """One condition on one label."""

    key: str
    operator: Operator
    values: tuple[str, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Tell whether `labels` meet the condition; a missing label meets `!=`, `notin` and `!`."""
        value = labels.get(self.key)
        if self.operator in _ANY_OF:
            return value is not None and value in self.values
        if self.operator in _NONE_OF:
            return value is None or value not in self.values
        if self.operator in _NUMERIC:
            return value is not None and self._compares(value)
        return (value is not None) == (self.operator is Operator.EXISTS)

    def _compares(self, value: str) -> bool:
        if not _INTEGER.fullmatch(value):
            return False
        number, bound = int(value), int(self.values[0])
        return number > bound if self.operator is Operator.GREATER_THAN else number < bound

    def check(self) -> None:
        """Raise `ValueError`, in the API server's words, unless key and values are allowed together."""
        complaints = names.label_key(self.key)
        if complaints:
            raise ValueError(f'key: Invalid value: "{self.key}": {"; ".join(complaints)}')
        if self.operator in _SETS and not self.values:
            raise ValueError(
                "values: Invalid value: []: for 'in', 'notin' operators, values set can't be empty"
            )
        if self.operator in _UNARY and self.values:
            raise ValueError(
                f"values: Invalid value: {list(self.values)}: values set must be empty for exists and does not exist"
            )
        if self.operator in _NUMERIC and not (len(self.values) == 1 and _INTEGER.fullmatch(self.values[0])):
            raise ValueError(
                f"values: Invalid value: {list(self.values)}: for 'Gt', 'Lt' operators, the value must be an integer"
            )
        for index, value in enumerate(self.values):
            complaints = names.label_value(value)
            if complaints:
                raise ValueError(
                    f'values[{index}][{self.key}]: Invalid value: "{value}": {"; ".join(complaints)}'
                )

    def __str__(self) -> str:
        if self.operator is Operator.EXISTS:
            return self.key
        if self.operator is Operator.DOES_NOT_EXIST:
            return f"!{self.key}"
        if self.operator in _SETS:
            return f"{self.key} {self.operator.value} ({','.join(sorted(self.values))})"
        return f"{self.key}{self.operator.value}{self.values[0]}"


@dataclass(frozen=True)
class LabelSelector:
    """Requirements that must all be met; none at all matches everything."""

    requirements: tuple[Requirement, ...] = ()

    def matches(self, labels: Mapping[str, str] | None) -> bool:
        """Tell whether an object with these labels (None: it has none) is selected."""
        return all(requirement.matches(labels or {}) for requirement in self.requirements)

    def __str__(self) -> str:
        """Return the text form that `label_selector` reads."""
        return ",".join(str(requirement) for requirement in self.requirements)


def label_selector(text: str) -> LabelSelector:
    """Read the text form; "" selects everything.

    Raises:
        ValueError: the text does not follow the grammar, or a key or value is not allowed.
    """
    parser = _Parser(text)
    return LabelSelector(tuple(sorted(parser.requirements(), key=lambda requirement: requirement.key)))


_SET_OPERATORS = {
    "In": Operator.IN,
    "NotIn": Operator.NOT_IN,
    "Exists": Operator.EXISTS,
    "DoesNotExist": Operator.DOES_NOT_EXIST,
}


def from_label_selector(selector: JsonObject | None) -> LabelSelector | None:
    """Read a `metav1.LabelSelector`: an empty one selects everything; None (no selector at all) nothing: None.

    Raises:
        ValueError: an operator is unknown, or a key or value is not allowed.
    """
    if selector is None:
        return None
    requirements = [
        Requirement(key, Operator.EQUALS, (value,))
        for key, value in (selector.get("matchLabels") or {}).items()
    ]
    for expression in selector.get("matchExpressions") or []:
        operator = _SET_OPERATORS.get(expression.get("operator", ""))
        if operator is None:
            raise ValueError(f'"{expression.get("operator", "")}" is not a valid label selector operator')
        requirements.append(
            Requirement(expression.get("key", ""), operator, tuple(expression.get("values") or ()))
        )
    for requirement in requirements:
        requirement.check()
    return LabelSelector(tuple(sorted(requirements, key=lambda requirement: requirement.key)))


# ---------------------------------------------------------------------------------------------------------
# The text form of label selectors

_WORD = re.compile(r"[ \t\r\n]*(==|!=|[=!(),<>]|[^=!(),<> \t\r\n]+)")
_OPERATORS = {operator.value: operator for operator in Operator if operator not in _UNARY} | {
    "==": Operator.EQUALS
}
_SYMBOLS = frozenset({"=", "==", "!=", "!", "(", ")", ",", "<", ">"})
_END = ""  # no word is empty


class _Parser:
    """Recursive descent over the words of one selector.

    `in` and `notin` are keywords only where an operator stands: labels may have those names.
    """

    def __init__(self, text: str) -> None:
        self._words = _WORD.findall(text)
        self._position = 0

    def requirements(self) -> Iterator[Requirement]:
        if self._peek() == _END:
            return
        while True:
            yield self._requirement()
            word = self._next()
            if word == _END:
                return
            if word != ",":
                raise _unexpected(word, "',' or 'end of string'")

    def _requirement(self) -> Requirement:
        negated = self._peek() == "!"
        if negated:
            self._next()
        key = self._next()
        if key in _SYMBOLS or key == _END:
            raise _unexpected(key, "identifier")
        if negated:
            requirement = Requirement(key, Operator.DOES_NOT_EXIST)
        elif self._peek() in {_END, ","}:
            requirement = Requirement(key, Operator.EXISTS)
        else:
            requirement = self._comparison(key)
        try:
            requirement.check()
        except ValueError as error:
            raise ValueError(f"unable to parse requirement: {error}") from error
        return requirement

    def _comparison(self, key: str) -> Requirement:
        word = self._next()
        operator = _OPERATORS.get(word)
        if operator is None:
            raise _unexpected(word, "in, notin, =, ==, !=, >, <")
        values = self._value_set() if operator in _SETS else (self._value(ends=frozenset({_END, ","})),)
        return Requirement(key, operator, values)

    def _value_set(self) -> tuple[str, ...]:
        word = self._next()
        if word != "(":
            raise _unexpected(word, "'('")
        values = [self._value(ends=frozenset({",", ")"}))]
        while (word := self._next()) == ",":
            values.append(self._value(ends=frozenset({",", ")"})))
        if word != ")":
            raise _unexpected(word, "',' or ')'")
        return tuple(dict.fromkeys(values))

    def _value(self, ends: frozenset[str]) -> str:
        """Take a value; where one of `ends` stands instead it is the empty one."""
        if self._peek() in ends:
            return ""
        word = self._next()
        if word in _SYMBOLS or word == _END:
            raise _unexpected(word, "identifier")
        return word

    def _peek(self) -> str:
        return self._words[self._position] if self._position < len(self._words) else _END

    def _next(self) -> str:
        word = self._peek()
        self._position += 1
        return word


def _unexpected(word: str, expected: str) -> ValueError:
    return ValueError(f"unable to parse requirement: found '{word}', expected: {expected}")


# ---------------------------------------------------------------------------------------------------------
# Field selectors


@dataclass(frozen=True)
class FieldTerm:
    """One condition on one field."""

    field: str
    equal: bool
    value: str

    def __str__(self) -> str:
        return f"{self.field}{'=' if self.equal else '!='}{escape_field_value(self.value)}"


@dataclass(frozen=True)
class FieldSelector:
    """Terms that must all be met; none at all matches everything."""

    terms: tuple[FieldTerm, ...] = ()

    def matches(self, fields: Mapping[str, str]) -> bool:
        """Tell whether an object with these fields is selected; a field that is not there is ""."""
        return all((fields.get(term.field, "") == term.value) == term.equal for term in self.terms)

    def __str__(self) -> str:
        """Return the text form that `field_selector` reads."""
        return ",".join(str(term) for term in self.terms)


def field_selector(text: str) -> FieldSelector:
    """Read the text form; "" selects everything. Which fields an object has is the caller's business.

    Raises:
        ValueError: a term has no operator, or a value an escape that is none.
    """
    return FieldSelector(tuple(_field_term(text, part) for part in _split(text) if part))


def escape_field_value(value: str) -> str:
    """Return `value` as it is written in a field selector."""
    return re.sub(r"([\\,=])", r"\\\1", value)


_FIELD_TERM = re.compile(r"((?:\\.|[^\\=!]|!(?!=))*)(!=|==|=)(.*)", re.DOTALL)
_FIELD_VALUE = re.compile(r"(?:\\[\\,=]|[^\\,=])*", re.DOTALL)


def _split(text: str) -> list[str]:
    """Split at commas that are not escaped."""
    return re.findall(r"(?:\\.|[^\\,]|\\$)+", text, re.DOTALL)


def _field_term(text: str, part: str) -> FieldTerm:
    match = _FIELD_TERM.fullmatch(part)
    if match is None:
        raise ValueError(f"invalid selector: '{text}'; can't understand '{part}'")
    field, operator, value = match.groups()
    if not _FIELD_VALUE.fullmatch(value):
        raise ValueError(
            f"invalid field selector: '{value}' has an escape or a sign that needs one (\\\\ \\, \\=)"
        )
    return FieldTerm(field, operator != "!=", re.sub(r"\\(.)", r"\1", value))
