"""MAP's arithmetic on entries: one record each, which says the result in instructions on vectors."""

from __future__ import annotations

import math
from typing import Any

from chainrule.engine.vector import Vectors, along, entrywise, halved, short_rows


def _chosen(v: Vectors, order: str, a: Any, b: Any) -> Any:
    """The larger or smaller of two, NaN if either is."""
    kept = v.builder.select(v.builder.fcmp_unordered(order, a, b), a, b)
    return v.builder.select(v.builder.fcmp_unordered("uno", b, b), b, kept)


def _positive(v: Vectors, a: Any, yes: Any, no: Any) -> Any:
    return v.builder.select(v.builder.fcmp_ordered(">", a, v.zeros), yes, no)


def _sign(v: Vectors, a: Any) -> Any:
    below = v.builder.fcmp_ordered("<", a, v.zeros)
    return v.builder.select(below, v.constant(-1.0), _positive(v, a, v.constant(1.0), a))


add = entrywise(2, lambda v, a, b, s, t: v.builder.fadd(a, b))
sub = entrywise(2, lambda v, a, b, s, t: v.builder.fsub(a, b))
mul = entrywise(2, lambda v, a, b, s, t: v.builder.fmul(a, b))
div = entrywise(2, lambda v, a, b, s, t: v.builder.fdiv(a, b))
maximum = entrywise(2, lambda v, a, b, s, t: _chosen(v, ">", a, b))
minimum = entrywise(2, lambda v, a, b, s, t: _chosen(v, "<", a, b))
axpby = entrywise(2, lambda v, a, b, s, t: v.call("fmuladd", s, a, v.builder.fmul(t, b)))
scale = entrywise(1, lambda v, a, s, t: v.builder.fmul(s, a))
shift = entrywise(1, lambda v, a, s, t: v.builder.fadd(a, s))
shift_twice = entrywise(1, lambda v, a, s, t: v.builder.fadd(v.builder.fadd(a, s), t))
copy = entrywise(1, lambda v, a, s, t: a)
fill = entrywise(0, lambda v, s, t: s)
reciprocal = entrywise(1, lambda v, a, s, t: v.builder.fdiv(v.constant(1.0), a))
sqrt = entrywise(1, lambda v, a, s, t: v.call("sqrt", a))
absolute = entrywise(1, lambda v, a, s, t: v.call("fabs", a))
sign = entrywise(1, lambda v, a, s, t: _sign(v, a))
step = entrywise(1, lambda v, a, s, t: _positive(v, a, v.constant(1.0), v.zeros))

# max(a + b, 0); a [b > 0]; a (1 - b b); s a + t b b
add_relu = entrywise(2, lambda v, a, b, s, t: _chosen(v, ">", v.builder.fadd(a, b), v.zeros))
mul_step = entrywise(2, lambda v, a, b, s, t: v.builder.fmul(a, _positive(v, b, v.constant(1.0), v.zeros)))
mul_tanh = entrywise(
    2, lambda v, a, b, s, t: v.builder.fmul(a, v.call("fmuladd", v.builder.fneg(b), b, v.constant(1.0)))
)
axpby_square = entrywise(2, lambda v, a, b, s, t: v.call("fmuladd", s, a, v.builder.fmul(v.builder.fmul(t, b), b)))


def _plus(v: Vectors, a: Any, b: Any) -> Any:
    return v.builder.fadd(a, b)


def _larger(v: Vectors, a: Any, b: Any) -> Any:
    return v.builder.select(v.builder.fcmp_unordered(">", a, b), a, b)


row_sum, row_maximum = along(_plus, 0.0), along(_larger, -math.inf)
less_largest = short_rows(-math.inf, lambda v, a: v.builder.fsub(a, halved(v, _larger, a)))
over_sum = short_rows(0.0, lambda v, a: v.builder.fdiv(a, halved(v, _plus, a)))
