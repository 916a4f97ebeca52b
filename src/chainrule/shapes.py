"""Shapes of matrices, whose sizes are whole numbers or names for them, and the exact numbers that stand in front."""

from __future__ import annotations

import math
import operator
from fractions import Fraction
from numbers import Real
from typing import Any

from chainrule.errors import ShapeError

Number = int | float | Fraction
Size = int | str
Shape = tuple[Size, Size]  # (rows, columns)


def show(shape: Shape) -> str:
    """A shape as the field writes it: (n x 784)."""
    return f"({shape[0]} x {shape[1]})"


def factors(size: Size) -> tuple[int, tuple[str, ...]]:
    """The number and the names that a size is the product of: 2*m*n is (2, (m, n))."""
    if isinstance(size, int):
        return size, ()
    words = size.split("*")
    return math.prod(int(word) for word in words if word.isdecimal()), tuple(w for w in words if not w.isdecimal())


def times(a: Size, b: Size) -> Size:
    """The product of two sizes, as of the rows of a Kronecker product: a number, or a name such as m*n."""
    (j, left), (k, right) = factors(a), factors(b)
    return _product_of(j * k, [*left, *right])


def over(a: Size, b: Size) -> Size:
    """The size c of which a is c times b."""
    (j, above), (k, below) = factors(a), factors(b)
    rest = list(above)
    for name in below:
        if name not in rest:
            raise ShapeError(f"{a} is not a multiple of {b}")
        rest.remove(name)
    if not k or j % k:
        raise ShapeError(f"{a} is not a multiple of {b}")
    return _product_of(j // k, rest)


def _product_of(number: int, names: list[str]) -> Size:
    if not names or not number:
        return number
    return "*".join([*([str(number)] if number != 1 else []), *sorted(names)])


def check_size(size: object) -> Size:
    """A size is a name, a whole number of at least 1, or a product of these."""
    words = size.split("*") if isinstance(size, str) else []
    named = any(map(str.isidentifier, words)) and all(word.isidentifier() or word.isdecimal() for word in words)
    if named and all(int(word) for word in words if word.isdecimal()):
        return times(size, 1)  # type: ignore[arg-type]  # it is a str
    try:
        whole = operator.index(size)  # type: ignore[arg-type]  # this is the question
    except TypeError:
        whole = 0
    if whole < 1 or isinstance(size, bool):
        raise ShapeError(f"a size is a name or a whole number of at least 1, got {size!r}")
    return whole


def same_shape(*shapes: Shape) -> Shape:
    """Elementwise operations need equal shapes."""
    for other in shapes[1:]:
        if other != shapes[0]:
            hint = "; ones(n) @ b makes a row b fit every row" if 1 in (shapes[0][0], other[0]) else ""
            raise ShapeError(f"entry by entry, {show(shapes[0])} does not fit {show(other)}{hint}")
    return shapes[0]


def product_shape(a: Shape, b: Shape) -> Shape:
    """A matrix product needs as many columns as rows."""
    if a[1] != b[0]:
        raise ShapeError(f"cannot multiply {show(a)} by {show(b)}: {a[1]} columns meet {b[0]} rows")
    return a[0], b[1]


def real(number: Any) -> Number:
    """A real number, in a type of Python's own; an array is refused, as is whatever else is no number."""
    if not isinstance(number, Real):
        raise TypeError(f"expressions go with expressions and numbers, got {type(number).__name__}: declare a matrix")
    return number if isinstance(number, int | Fraction) else float(number)


def fraction(number: Number | str) -> Fraction:
    """The decimal number as it is written: 0.1 is 1/10, and becomes the float 0.1 again."""
    if type(number) is Fraction:
        return number  # as most coefficients are, of the many that rewriting makes
    value = number if isinstance(number, str) else real(number)
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"a coefficient is a finite number, got {value}")
    return Fraction(repr(value) if isinstance(value, float) else value)
