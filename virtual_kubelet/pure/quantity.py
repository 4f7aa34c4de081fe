"""Resource quantities: `100m`, `1.5Gi`, `12e6`.

A quantity is an exact number with a memory of how it was written, after
`k8s.io/apimachinery/pkg/api/resource`: no finer than a nano (rounded away from zero, so that a little asked
for is never nothing), no larger in magnitude than 2**63-1 (capped). Two quantities are equal when they are the
same number, however written. `str` gives the canonical form that the API server stores.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from typing import Final

__all__ = ["ZERO", "Format", "Quantity", "parse"]

_NANO: Final = 10**9
_LARGEST: Final = (2**63 - 1) * _NANO

_PATTERN = re.compile(r"([+-]?)(\d*)(?:\.(\d*))?(?:([numkMGTPE]|[KMGTPE]i)|[eE]([+-]?\d{1,18}))?", re.ASCII)
_DECIMAL: Final = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY: Final = {"": 0, "Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_DECIMAL_SUFFIX: Final = {exponent: suffix for suffix, exponent in _DECIMAL.items()}
_BINARY_SUFFIX: Final = {exponent: suffix for suffix, exponent in _BINARY.items()}

_LENGTH_LIMIT: Final = 256
"""Characters. Long enough for any number, short enough that an attacker's cannot cost us anything."""

_SHIFT_LIMIT: Final = _LENGTH_LIMIT + 64
"""A power of ten beyond this decides the matter alone: the number is past the cap, or below a nano."""


class Format(Enum):
    """How a quantity was written, and so will be written again."""

    BINARY_SI = "BinarySI"  # 12Mi
    DECIMAL_SI = "DecimalSI"  # 12M
    DECIMAL_EXPONENT = "DecimalExponent"  # 12e6


@dataclass(frozen=True, order=True)
class Quantity:
    """An exact number of nano units, and the format to write it in."""

    nanos: int
    written: Format = field(default=Format.DECIMAL_SI, compare=False)

    @classmethod
    def of(cls, units: int, written: Format = Format.DECIMAL_SI) -> Quantity:
        """Return a whole number of units."""
        return cls(units * _NANO, written)

    @classmethod
    def of_milli(cls, milli: int, written: Format = Format.DECIMAL_SI) -> Quantity:
        """Return a number of thousandths, as CPU is counted."""
        return cls(milli * (_NANO // 1000), written)

    def __str__(self) -> str:
        """Return the canonical form: no fraction, the largest suffix that keeps the number exact."""
        if self.written is Format.BINARY_SI and abs(self.nanos) >= 1024 * _NANO and self.nanos % _NANO == 0:
            return _write_binary(self.nanos // _NANO)
        return _write_decimal(self.nanos, self.written)

    def __bool__(self) -> bool:
        return self.nanos != 0

    def __add__(self, other: Quantity) -> Quantity:
        return Quantity(self.nanos + other.nanos, self.written if self.nanos else other.written)

    def __sub__(self, other: Quantity) -> Quantity:
        return Quantity(self.nanos - other.nanos, self.written if self.nanos else other.written)

    def __neg__(self) -> Quantity:
        return Quantity(-self.nanos, self.written)

    def __float__(self) -> float:
        return self.nanos / _NANO

    @property
    def value(self) -> int:
        """The number of whole units, rounded up: bytes of memory, whole CPUs."""
        return _ceil(self.nanos, _NANO)

    @property
    def milli(self) -> int:
        """The number of thousandths, rounded up: millicores."""
        return _ceil(self.nanos, _NANO // 1000)

    @property
    def decimal(self) -> Decimal:
        """The exact number."""
        return Decimal(self.nanos).scaleb(-9)

    def divided(self, divisor: Quantity) -> int:
        """Return how often `divisor` goes into this, rounded up, as a resourceFieldRef counts.

        Raises:
            ZeroDivisionError: `divisor` is 0.
        """
        return _ceil(self.nanos, divisor.nanos)


ZERO: Final = Quantity(0)


def parse(value: str | float) -> Quantity:
    """Return the quantity that `value` writes; JSON numbers are allowed as in the API.

    Raises:
        ValueError: it is no quantity; the message names it.
    """
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ValueError(_complaint(value))  # noqa: TRY004  # callers catch one kind, whatever the user wrote
    return _parse(value if isinstance(value, str) else repr(value))


@lru_cache(maxsize=4096)  # pods of one workload say the same few values over and over
def _parse(text: str) -> Quantity:
    match = _PATTERN.fullmatch(text) if len(text) <= _LENGTH_LIMIT else None
    if match is None:
        raise ValueError(_complaint(text))
    sign, whole, fraction, suffix, exponent = match.groups()
    fraction = fraction or ""
    if not whole and not fraction:
        raise ValueError(_complaint(text))
    number = int(whole + fraction)
    if exponent is not None:
        written, power = Format.DECIMAL_EXPONENT, int(exponent)
    elif suffix in _BINARY:
        written, power, number = Format.BINARY_SI, 0, number << _BINARY[suffix]
    else:
        written, power = Format.DECIMAL_SI, _DECIMAL[suffix or ""]
    nanos = min(_shift(number, power + 9 - len(fraction)), _LARGEST)
    return Quantity(-nanos if sign == "-" else nanos, written)


def _shift(number: int, power: int) -> int:
    """Return number * 10**power, rounded up; far too much or too little without working it out."""
    factor: int = 10 ** min(abs(power), _SHIFT_LIMIT)
    return number * factor if power >= 0 else _ceil(number, factor)


def _ceil(number: int, divisor: int) -> int:
    return -(-number // divisor)


def _write_decimal(nanos: int, written: Format) -> str:
    if nanos == 0:
        return "0"
    exponent = -9
    while nanos % 1000 == 0 and exponent < max(_DECIMAL_SUFFIX):
        nanos //= 1000
        exponent += 3
    if written is Format.DECIMAL_EXPONENT:
        return f"{nanos}e{exponent}" if exponent else str(nanos)
    return f"{nanos}{_DECIMAL_SUFFIX[exponent]}"


def _write_binary(units: int) -> str:
    exponent = 0
    while units % 1024 == 0 and exponent < max(_BINARY_SUFFIX):
        units //= 1024
        exponent += 10
    return f"{units}{_BINARY_SUFFIX[exponent]}"


def _complaint(value: object) -> str:
    shown = repr(value)
    if len(shown) > 80:
        shown = f"{shown[:80]}..."
    return f"{shown} is not a quantity such as 500m, 2, 1.5Gi or 12e6"
