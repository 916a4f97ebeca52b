"""exp, log, tanh and so on in float32: no jumps, so that a loop over them becomes vector instructions.

A polynomial is the highest power first, from scripts/elementary_constants.py. Every bound is the largest error found
over the whole range, in units of the last place (ulp) of the exact value; results below 2^-126 count too.
"""

from __future__ import annotations

import numpy as np

from chainrule.engine.intrinsics import copysign, fma, horner, power_of_two, scalar, select, split

_f = np.float32

ZERO, HALF, ONE, TWO, INF, NAN = map(_f, (0.0, 0.5, 1.0, 2.0, np.inf, np.nan))
ROUND = _f(1.5 * 2**23)  # adding it rounds to an integer, which is then in the low bits
LOG2_E = _f(1.442695)
LN2_HIGH, LN2_LOW = _f(0.693145751953125), _f(1.4286068203094172e-06)  # the first has 17 bits: k times it is exact
SMALLEST_NORMAL, TO_NORMAL, NORMAL_EXPONENT = _f(2.0**-126), _f(2.0**23), _f(23.0)
EXP_HIGH, EXP_LOW = _f(89.0), _f(-105.0)  # beyond these the result is infinity, or 0
FLAT = _f(10.0)  # tanh and erf are 1, expm1 near -1, to the last bit long before twice this

EXP = tuple(map(_f, (0.0013926176, 0.008363173, 0.041666556, 0.16666578, 0.5)))
LOG = tuple(map(_f, (
    0.06971612, -0.11479734, 0.1168542, -0.12425687, 0.14249058, -0.16667803, 0.20000716, -0.24999997, 0.3333333,
)))  # fmt: skip
LOG1P = tuple(map(_f, (
    0.0019866966, -0.013187827, 0.041006573, -0.081880406, 0.12377996, -0.16087623, 0.1988582, -0.24986497,
    0.33332497, -0.4999998, 1.0,
)))  # fmt: skip


@scalar
def _scaled(p: float, k: float) -> float:
    """2^k p in two steps, so that k may leave the exponents of normal numbers."""
    first = fma(k, HALF, ROUND)
    return p * power_of_two(first) * power_of_two((k - (first - ROUND)) + ROUND)


@scalar
def _exp(x: float) -> float:
    """exp(x) of an x between EXP_LOW and EXP_HIGH: x = k log 2 + r"""
    k = fma(x, LOG2_E, ROUND) - ROUND
    r = fma(-k, LN2_LOW, fma(-k, LN2_HIGH, x))
    return _scaled(fma(r * r, horner(r, EXP), r) + ONE, k)


@scalar
def _expm1(x: float) -> float:
    """exp(x) - 1 = 2 (2^(k-1) (exp(r) - 1) + (2^(k-1) - 1/2)) of an x from -20 to EXP_HIGH"""
    k = fma(x, LOG2_E, ROUND) - ROUND
    r = fma(-k, LN2_LOW, fma(-k, LN2_HIGH, x))
    scale = power_of_two((k - ONE) + ROUND)
    return TWO * fma(scale, fma(r * r, horner(r, EXP), r), scale - HALF)


@scalar
def _log(e: float, f: float) -> float:
    """e log 2 + log(1 + f)"""
    square = f * f
    return fma(e, LN2_HIGH, fma(f * square, horner(f, LOG), fma(square, -HALF, e * LN2_LOW)) + f)


@scalar
def exp(x: float) -> float:
    """exp(x)."""
    high = select(x > EXP_HIGH, EXP_HIGH, x)
    return _exp(select(high < EXP_LOW, EXP_LOW, high))


@scalar
def expm1(x: float) -> float:
    """exp(x) - 1."""
    high = select(x > EXP_HIGH, EXP_HIGH, x)
    return copysign(_expm1(select(high < -TWO * FLAT, -TWO * FLAT, high)), x)


@scalar
def log(x: float) -> float:
    """log(x): -inf at 0, NaN below."""
    tiny = x < SMALLEST_NORMAL
    e, m = split(select(tiny, x * TO_NORMAL, x))
    y = _log(e - select(tiny, NORMAL_EXPONENT, ZERO), m - ONE)
    return select(x > ZERO, select(x == INF, x, y), select(x == ZERO, -INF, NAN))


@scalar
def log1p(x: float) -> float:
    """log(1 + x): -inf at -1, NaN below."""
    u = ONE + x
    e, m = split(u)
    scale = power_of_two(select(e > NORMAL_EXPONENT, -NORMAL_EXPONENT, -e) + ROUND)
    f = select(e > NORMAL_EXPONENT, m - ONE, fma(scale, x, scale - ONE))
    y = copysign(_log(e, f), x)
    return select(u > ZERO, select(x == INF, x, y), select(u == ZERO, -INF, NAN))


@scalar
def tanh(x: float) -> float:
    """tanh(|x|) = t / (t + 2) with t = exp(2 |x|) - 1, and the sign of x."""
    a = np.abs(x)
    t = _expm1(TWO * select(a > FLAT, FLAT, a))
    return copysign(t / (t + TWO), x)


@scalar
def logistic(x: float) -> float:
    """1 / (1 + e), or e / (1 + e) where x < 0, with e = exp(-|x|)."""
    a = np.abs(x)
    e = _exp(-select(a > -EXP_LOW, -EXP_LOW, a))
    return select(x < ZERO, e, ONE) / (ONE + e)


@scalar
def softplus(x: float) -> float:
    """log(1 + exp(x)) = max(x, 0) + log(1 + exp(-|x|))."""
    a = np.abs(x)
    e = _exp(-select(a > -EXP_LOW, -EXP_LOW, a))
    return fma(e, horner(e, LOG1P), select(x > ZERO, x, ZERO))
