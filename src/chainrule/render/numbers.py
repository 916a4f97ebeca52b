"""What a number looks like in a formula."""

from __future__ import annotations

from fractions import Fraction

from chainrule.stack import Range


def number_text(value: float) -> str:
    """A number to six digits, for reading: 2, 0.1, 1e-08."""
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else f"{float(value):.6g}"


def ratio(number: Fraction) -> tuple[float, int]:
    """A coefficient as numerator and denominator: (1, 2) for a half, (1, 784), and (0.01, 1) for a decimal."""
    decimal = number.denominator % 5 == 0 and Fraction(f"{float(number):.6g}") == number
    if decimal or number.denominator >= 1000 or number.numerator >= 1000:
        return float(number), 1
    return number.numerator, number.denominator


def range_text(taken: Range, span: str) -> str:
    """Rows or columns of a matrix, counted from 1: 1:4, or : for all."""
    if taken is None:
        return ":"
    first, last = taken[0] + 1, taken[1]
    return f"{first}" if first == last else span.format(first, last)
