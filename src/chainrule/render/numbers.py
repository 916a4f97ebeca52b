"""Numbers for reading: as they were given, or, where nobody gave so many digits, to six of them."""

from __future__ import annotations

from fractions import Fraction

from chainrule.stack import Range

GIVEN = 12  # digits that somebody may have written; sqrt(2/pi) has more


def number_text(value: float, *, exact: bool = False) -> str:
    """A number for reading: 2, 0.1, 1e-08, 0.123456789, and 0.797885 for sqrt(2/pi), unless it must be `exact`."""
    if float(value).is_integer() and abs(value) < 1e15:
        return str(int(value))
    given = f"{float(value):.{GIVEN}g}"
    if float(given) == value:
        return given
    return repr(float(value)) if exact else f"{float(value):.6g}"


def ratio(number: Fraction) -> tuple[float, int]:
    """A coefficient as numerator and denominator: (1, 2) for a half, (1, 784), and (0.01, 1) for a decimal."""
    decimal = number.denominator % 5 == 0 and Fraction(f"{float(number):.{GIVEN}g}") == number
    if decimal or number.denominator >= 1000 or number.numerator >= 1000:
        return float(number), 1
    return number.numerator, number.denominator


def range_text(taken: Range, span: str) -> str:
    """Rows or columns of a matrix, counted from 0, the last not taken: 0:4, or : for all."""
    if taken is None:
        return ":"
    first, stop = taken
    return f"{first}" if first + 1 == stop else span.format(first, stop)
