"""`$(NAME)` in environment variables, commands and arguments.

`$(NAME)` becomes the value of NAME; where there is none it stays as it is. `$$` becomes `$`, so `$$(NAME)` is
the way to write a literal `$(NAME)`. Any other `$` is just that. What was put in is not looked at again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from virtual_kubelet.objects import Container

__all__ = ["command_line", "expand", "names_in"]

_REFERENCE = re.compile(r"\$(?:\$|\(([^)]*)\))")


def expand(text: str, values: Mapping[str, str]) -> str:
    """Return `text` with its references replaced."""

    def replacement(match: re.Match[str]) -> str:
        name = match.group(1)
        if name is None:
            return "$"
        return values.get(name, match.group())

    return _REFERENCE.sub(replacement, text) if "$" in text else text


def names_in(text: str) -> frozenset[str]:
    """Return the names that `text` refers to."""
    return frozenset(name for name in _REFERENCE.findall(text) if name)


def command_line(container: Container, values: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Return the container's command and args with its environment's values put in.

    To be done once: a second time would also replace what `$$` has kept from it.
    """
    return _expand_all(container.get("command"), values), _expand_all(container.get("args"), values)


def _expand_all(words: Iterable[str] | None, values: Mapping[str, str]) -> list[str]:
    return [expand(word, values) for word in words or ()]
