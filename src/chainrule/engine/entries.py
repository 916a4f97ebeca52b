"""MAP's arithmetic on entries, and what is done along a row: one record each, which says the result on vectors."""

from __future__ import annotations

import math
from collections.abc import Callable

from chainrule.engine import words
from chainrule.engine.elementary import FLOAT32, FLOAT64
from chainrule.engine.lanes import Lanes, fma, select
from chainrule.engine.vector import Entry, along, halved, one_of, short_rows

COSTLY = 2  # vectors at a time of functions with many instructions


def _function(name: str) -> Callable[..., Lanes]:
    """A function of the rule book, as it is written for the type of its operand."""
    return lambda x, *rest: (FLOAT32 if x.bits == 32 else FLOAT64)[name](x, *rest)


def _entry(name: str) -> Entry:
    f = _function(name)
    if name in ("maximum", "minimum"):
        return Entry(2, lambda a, b, s, t: f(a, b))
    if name == "power":
        return Entry(1, lambda a, s, t: f(a, s), 1)
    return Entry(1, lambda a, s, t: f(a), COSTLY)


_maximum, _exp, _sqrt = map(_function, ("maximum", "exp", "sqrt"))
ENTRIES = {code: _entry(name) for name, code in words.WORDS.items()} | {
    words.ADD: Entry(2, lambda a, b, s, t: a + b),
    words.SUB: Entry(2, lambda a, b, s, t: a - b),
    words.MUL: Entry(2, lambda a, b, s, t: a * b),
    words.DIV: Entry(2, lambda a, b, s, t: a / b),
    words.AXPBY: Entry(2, lambda a, b, s, t: fma(s, a, t * b)),
    words.SCALE: Entry(1, lambda a, s, t: s * a),
    words.SHIFT: Entry(1, lambda a, s, t: a + s),
    words.SHIFT_TWICE: Entry(1, lambda a, s, t: (a + s) + t),
    words.COPY: Entry(1, lambda a, s, t: a),
    words.FILL: Entry(0, lambda s, t: s),
    words.ADD_RELU: Entry(2, lambda a, b, s, t: _maximum(a + b, a.like(0))),
    words.MUL_STEP: Entry(2, lambda a, b, s, t: a * select(b > 0, b.like(1), 0)),
    words.MUL_TANH: Entry(2, lambda a, b, s, t: a * fma(-b, b, 1)),  # a (1 - b b)
    words.AXPBY_SQUARE: Entry(2, lambda a, b, s, t: fma(s, a, t * b * b)),
    words.OVER_ROOT: Entry(2, lambda a, b, s, t: a / (_sqrt(s * b) + t)),
}
one_entry = one_of(ENTRIES)


def _plus(a: Lanes, b: Lanes) -> Lanes:
    return a + b


row_sum = along(_plus, 0.0, lambda a, s: a)
row_maximum = along(_maximum, -math.inf, lambda a, s: a)
exp_sum = along(_plus, 0.0, lambda a, s: _exp(a - s))  # sum of exp(a - s)

# Rows that fit into a vector.
less_largest = short_rows(-math.inf, lambda v, a, s: a - halved(v, _maximum, a))
over_sum = short_rows(0.0, lambda v, a, s: a / halved(v, _plus, a))
largest = short_rows(-math.inf, lambda v, a, s: halved(v, _maximum, a), one=True)
exp_sums = short_rows(-math.inf, lambda v, a, s: halved(v, _plus, _exp(a - halved(v, _maximum, a))), one=True)
plus_largest = short_rows(-math.inf, lambda v, a, s: s + halved(v, _maximum, a), one=True)
less_logarithm = short_rows(-math.inf, lambda v, a, s: (a - halved(v, _maximum, a)) - s)
