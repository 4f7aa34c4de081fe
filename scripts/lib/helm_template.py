"""Renders this project's chart as `helm template` does, for those who have no Helm: deploy/*.yaml and the tests.

The part of Go's text/template and of Sprig that the chart uses, and no more; what it does not know is an error.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

__all__ = ["ChartError", "render"]

ACTION = re.compile(r"\{\{(-\s)?\s*(.*?)\s*(\s-)?\}\}", re.DOTALL)
TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|`[^`]*`|:=|[|()]|[^\s|()]+')


class ChartError(Exception):
    """The chart refuses its values, or says what this renderer does not know."""


@dataclass
class Block:
    """A piece of a template: text, an expression, or a statement with what is inside it."""

    kind: str
    text: str = ""
    body: list[Block] = field(default_factory=list)
    other: list[Block] = field(default_factory=list)  # after {{ else }}


def render(
    chart: Path,
    values: dict[str, Any] | None = None,
    *,
    name: str = "virtual-kubelet",
    namespace: str = "default",
) -> dict[str, str]:
    """Return each template's text with `values` laid over the chart's own.

    Raises `ChartError`.
    """
    about = yaml.safe_load((chart / "Chart.yaml").read_text())
    defaults = yaml.safe_load((chart / "values.yaml").read_text())
    root = {
        "Values": merged(defaults, values or {}),
        "Release": {"Name": name, "Namespace": namespace, "Service": "Helm"},
        "Chart": {key[0].upper() + key[1:]: value for key, value in about.items()},
    }
    sources = {path.name: path.read_text() for path in sorted((chart / "templates").iterdir())}
    renderer = Renderer(root)
    parsed = {file: renderer.load(text) for file, text in sources.items()}
    return {
        file: renderer.run(blocks, root, {"$": root})
        for file, blocks in parsed.items()
        if not file.startswith("_") and file.endswith(".yaml")
    }


def merged(below: Any, above: Any) -> Any:
    """Lay `above` over `below`, maps by key; null takes a key away."""
    if not isinstance(below, dict) or not isinstance(above, dict):
        return above
    result = {**below}
    for key, value in above.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(below.get(key), value)
    return result


class Renderer:
    """Templates that are named, and how to run one."""

    def __init__(self, root: dict[str, Any]) -> None:
        self._root = root
        self._named: dict[str, list[Block]] = {}

    def load(self, text: str) -> list[Block]:
        """Parse a file; what it defines is known from then on."""
        pieces = list(split(text))
        blocks, rest = parse(pieces)
        if rest:
            raise ChartError(f"unexpected {{{{ {rest[0][1]} }}}}")
        kept = []
        for block in blocks:
            if block.kind == "define":
                self._named[json.loads(block.text)] = block.body
            else:
                kept.append(block)
        return kept

    def run(self, blocks: list[Block], dot: Any, names: dict[str, Any]) -> str:
        """Return what blocks make of `dot`."""
        return "".join(self._one(block, dot, names) for block in blocks)

    def _one(self, block: Block, dot: Any, names: dict[str, Any]) -> str:
        if block.kind == "text":
            return block.text
        if block.kind == "set":
            name, _, expression = block.text.partition(":=")
            names[name.strip()] = self.value(expression, dot, names)
            return ""
        if block.kind == "if":
            return self.run(block.body if self.value(block.text, dot, names) else block.other, dot, {**names})
        if block.kind == "with":
            value = self.value(block.text, dot, names)
            return self.run(block.body, value, {**names}) if value else self.run(block.other, dot, {**names})
        if block.kind == "range":
            return self._range(block, dot, names)
        value = self.value(block.text, dot, names)
        return "" if value is None else text_of(value)

    def _range(self, block: Block, dot: Any, names: dict[str, Any]) -> str:
        variables, assigned, expression = block.text.rpartition(":=")
        value = self.value(expression, dot, names)
        items = sorted(value.items()) if isinstance(value, dict) else list(enumerate(value or []))
        if not items:
            return self.run(block.other, dot, {**names})
        declared = [word.strip() for word in variables.split(",")] if assigned else []
        made = []
        for key, item in items:
            given = dict(zip(declared, (key, item) if len(declared) == 2 else (item,), strict=True))
            made.append(self.run(block.body, item, {**names, **given}))
        return "".join(made)

    # -- expressions

    def value(self, expression: str, dot: Any, names: dict[str, Any]) -> Any:
        """Return the value of a pipeline."""
        tokens = TOKEN.findall(expression)
        value = self._pipeline(tokens, dot, names)
        if tokens:
            raise ChartError(f"cannot read {expression}")
        return value

    def _pipeline(self, tokens: list[str], dot: Any, names: dict[str, Any]) -> Any:
        value = self._command(tokens, dot, names, ())
        while tokens and tokens[0] == "|":
            tokens.pop(0)
            value = self._command(tokens, dot, names, (value,))
        return value

    def _command(self, tokens: list[str], dot: Any, names: dict[str, Any], last: tuple[Any, ...]) -> Any:
        word = tokens[0]
        if word != "(" and re.fullmatch(r"[A-Za-z]\w*", word) and word not in {"true", "false", "nil"}:
            tokens.pop(0)
            arguments = []
            while tokens and tokens[0] not in {"|", ")"}:
                arguments.append(self._operand(tokens, dot, names))
            return self._call(word, (*arguments, *last))
        value = self._operand(tokens, dot, names)
        if last:
            raise ChartError(f"{word} is no function")
        return value

    def _operand(self, tokens: list[str], dot: Any, names: dict[str, Any]) -> Any:
        word = tokens.pop(0)
        if word == "(":
            value = self._pipeline(tokens, dot, names)
            closing = tokens.pop(0)
            return value if closing == ")" else walk(value, closing.removeprefix(")"))
        if word.startswith('"'):
            return json.loads(word)
        if word.startswith("`"):
            return word[1:-1]
        if word in {"true", "false", "nil"}:
            return {"true": True, "false": False, "nil": None}[word]
        if re.fullmatch(r"-?\d+", word):
            return int(word)
        if word.startswith("$"):
            name, _, path = word.partition(".")
            if name not in names:
                raise ChartError(f"{name} is not set")
            return walk(names[name], path)
        if word.startswith("."):
            return walk(dot, word[1:])
        raise ChartError(f"cannot read {word}")

    def _call(self, name: str, arguments: tuple[Any, ...]) -> Any:
        if name == "include":
            if arguments[0] not in self._named:
                raise ChartError(f"no template {arguments[0]}")
            return self.run(self._named[arguments[0]], arguments[1], {"$": arguments[1]})
        if name == "tpl":
            blocks, _ = parse(list(split(arguments[0])))
            return self.run(blocks, arguments[1], {"$": arguments[1]})
        if name not in FUNCTIONS:
            raise ChartError(f"the function {name} is not known here")
        return FUNCTIONS[name](*arguments)


def split(text: str) -> list[tuple[str, str]]:
    """Return the pieces of a template: ("text", ...) and ("action", ...), white space trimmed as the dashes say."""
    pieces: list[tuple[str, str]] = []
    position, trim = 0, False
    for match in ACTION.finditer(text):
        before = text[position : match.start()]
        before = before.lstrip() if trim else before
        pieces.append(("text", before.rstrip() if match[1] else before))
        if not match[2].startswith("/*"):
            pieces.append(("action", match[2]))
        position, trim = match.end(), bool(match[3])
    rest = text[position:]
    pieces.append(("text", rest.lstrip() if trim else rest))
    return pieces


def parse(pieces: list[tuple[str, str]]) -> tuple[list[Block], list[tuple[str, str]]]:
    """Return the blocks up to an `else` or `end` that is not theirs, and what is left from there."""
    blocks: list[Block] = []
    while pieces:
        kind, text = pieces[0]
        word, _, rest = text.partition(" ")
        if kind == "action" and word in {"else", "end"}:
            return blocks, pieces
        pieces = pieces[1:]
        if kind == "text":
            blocks.append(Block("text", text))
        elif word in {"if", "range", "with", "define"}:
            block, pieces = statement(word, rest, pieces)
            blocks.append(block)
        else:
            blocks.append(Block("set" if re.match(r"\$\w+\s*:=", text) else "value", text))
    return blocks, []


def statement(word: str, text: str, pieces: list[tuple[str, str]]) -> tuple[Block, list[tuple[str, str]]]:
    """Return a statement with its parts, and what follows its `end`."""
    block = Block(word, text)
    block.body, pieces = parse(pieces)
    if not pieces:
        raise ChartError(f"{{{{ {word} {text} }}}} has no end")
    _, action = pieces[0]
    pieces = pieces[1:]
    if action == "end":
        return block, pieces
    following = action.removeprefix("else").strip()
    if following.startswith("if "):
        nested, pieces = statement("if", following.removeprefix("if "), pieces)
        block.other = [nested]
        return block, pieces
    block.other, pieces = parse(pieces)
    if not pieces:
        raise ChartError(f"{{{{ {word} {text} }}}} has no end")
    return block, pieces[1:]


def walk(value: Any, path: str) -> Any:
    """Follow `a.b.c`; what is not there is None, as it is for values in Helm."""
    for part in path.split(".") if path else ():
        if part:
            value = value.get(part) if isinstance(value, dict) else None
    return value


def text_of(value: Any) -> str:
    """Return a value as Go prints it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def to_yaml(value: Any) -> str:
    """Return YAML in the form of Helm."""
    return (
        yaml.safe_dump(value, default_flow_style=False, width=10_000).removesuffix("\n").removesuffix("\n...")
    )


def indented(count: int, text: str) -> str:
    """Put blanks before each line."""
    return "\n".join(" " * count + line for line in text.split("\n"))


def refuse(message: str) -> Any:
    """Raise what the chart says."""
    raise ChartError(message)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "and": lambda *values: next((value for value in values if not value), values[-1]),
    "b64enc": lambda text: base64.b64encode(str(text).encode()).decode(),
    "b64dec": lambda text: base64.b64decode(str(text)).decode(),
    "default": lambda otherwise, value=None: value or otherwise,
    "eq": lambda first, *others: first in others,
    "fail": refuse,
    "gt": lambda first, second: first > second,
    "hasKey": lambda values, key: key in values,
    "hasPrefix": lambda prefix, text: text.startswith(prefix),
    "indent": indented,
    "int": lambda value: int(value or 0),
    "list": lambda *values: list(values),
    "ne": lambda first, second: first != second,
    "nindent": lambda count, text: "\n" + indented(count, text),
    "not": lambda value: not value,
    "or": lambda *values: next((value for value in values if value), values[-1]),
    "printf": lambda form, *values: form.replace("%d", "%s") % tuple(text_of(value) for value in values),
    "quote": lambda value: json.dumps(text_of(value)) if value is not None else "",
    "replace": lambda old, new, text: text.replace(old, new),
    "required": lambda message, value: refuse(message) if value in (None, "") else value,
    "sha256sum": lambda text: hashlib.sha256(text.encode()).hexdigest(),
    "toString": text_of,
    "toYaml": to_yaml,
    "trimSuffix": lambda suffix, text: text.removesuffix(suffix),
    "trunc": lambda length, text: text[:length],
}
