"""What a printer is: columns, and a function from an object to its cells."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from virtual_kubelet.objects import JsonObject

__all__ = ["AGE", "NAME", "Column", "Printer", "or_none"]

Cells = Callable[[JsonObject, float], Sequence[Any]]
"""From an object and the time to the cells of its row."""


@dataclass(frozen=True)
class Column:
    """One column (`meta.k8s.io/v1.TableColumnDefinition`)."""

    name: str
    type: str = "string"
    wide: bool = False
    format: str = ""

    def definition(self) -> JsonObject:
        """Return it as the table's head has it."""
        return {
            "name": self.name,
            "type": self.type,
            "format": self.format,
            "description": "",
            "priority": 1 if self.wide else 0,
        }


@dataclass(frozen=True)
class Printer:
    """How the objects of one kind become rows."""

    columns: tuple[Column, ...]
    cells: Cells


NAME = Column("Name", format="name")
AGE = Column("Age")


def or_none(text: str) -> str:
    """Return what stands for an empty cell."""
    return text or "<none>"
