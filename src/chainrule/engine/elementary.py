"""The elementary functions of the rule book as scalars that a compiled loop calls: one text for float32 and float64.

There are no jumps in them, so that `for i in range(n): D[i] = tanh(A[i])` becomes vector instructions; only sin and cos
in float64, and power in float64 with an unusual exponent, call the C library entry by entry. Infinities, NaN, signed
zeros and results below the smallest normal number are as in NumPy, whatever floating point flags the loop has.

A docstring states the largest error found, in units of the last place (ulp) of the exact value: of float32, then of
float64; tests/engine/test_elementary.py measures it. Constants are from scripts/elementary_constants.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from chainrule.engine.intrinsics import (
    copysign,
    fma,
    like,
    number,
    polynomial,
    power_of_two,
    rint,
    scalar,
    select,
    split,
)

# ---- constants; the first of two is that of float32

LOG2_E = 1.4426950408889634
LN2_HIGH = number(0.693145751953125, 0.6931471803691238)  # so few bits that k times it is exact
LN2_LOW = number(1.4286068203094173e-06, 1.9082149292705877e-10)
ROUND = number(1.5 * 2**23, 1.5 * 2**52)  # adding it rounds to an integer, which is then in the low bits
DIGITS = number(24, 53)
SMALLEST_NORMAL = number(2.0**-126, 2.0**-1022)
EXP_HIGH = number(89, 710)  # from here on exp is infinite
EXP_LOW = number(-105, -746)  # down to here exp is not yet 0, by more than half of the smallest number
FLAT = number(20, 40)  # exp(-this) is lost beside 1

EXP = polynomial(
    (0.0013926176, 0.008363173, 0.041666556, 0.16666578, 0.5),
    (
        2.5100375832561234e-08, 2.7620075879983367e-07, 2.7557268480310024e-06, 2.4801521322368692e-05,
        0.00019841269863040545, 0.0013888888917196719, 0.008333333333330065, 0.041666666666624164,
        0.16666666666666669, 0.5000000000000001,
    ),
)  # fmt: skip
LOG = polynomial(
    (0.23330468, 0.28550822, 0.40000123, 0.6666667),
    (
        0.14616449685043406, 0.15331721600556042, 0.18182889125261723, 0.2222221113479508, 0.28571428625975487,
        0.39999999999899505, 0.666666666666667,
    ),
)  # fmt: skip
TANH = polynomial(
    (-0.006045165, 0.02096133, -0.053843264, 0.13332719, -0.33333328),
    (
        6.354340814859719e-06, -3.092912547386467e-05, 9.23274970808537e-05, -0.0002374675659822325,
        0.000589622148687206, -0.0014557676940659455, 0.003592120760870841, -0.008863235024306106,
        0.021869488515352347, -0.05396825396781054, 0.1333333333333296, -0.3333333333333333,
    ),
)  # fmt: skip
ERF = polynomial(
    (7.875875e-05, -0.00080168643, 0.0051890872, -0.026854211, 0.11283594, -0.37612626, 0.12837917),
    (
        -4.230945824295338e-12, 8.709045129053106e-11, -1.216456005728345e-09, 1.4792401209404813e-08,
        -1.6364642158167616e-07, 1.6462045441468418e-06, -1.4925647567519332e-05, 0.00012055332902888736,
        -0.000854832702193483, 0.0052239776254232985, -0.02686617064512984, 0.1128379167095512,
        -0.37612638903183754, 0.1283791670955126,
    ),
)  # fmt: skip
LOG_ERFC = polynomial(
    (
        1.6371514e-06, -4.605804e-05, 0.00059680565, -0.004759596, 0.026421135, -0.110080086, -0.63182604,
        -1.1302334, 0.00032013806,
    ),
    (),
)  # fmt: skip
ERFC = polynomial(
    (),
    (
        -4.062291021776748e-07, 1.7529449628757463e-06, -2.074855693737207e-06, -1.1955560907134378e-07,
        -3.3063683768941945e-07, 1.042796785636767e-06, 5.307829484458272e-06, 3.7909475930506426e-06,
        -1.3527390613626339e-05, -3.642934429762441e-05, -1.5050377440814891e-06, 0.0001510394078052615,
        0.00020636684215623606, -0.00045434084816393635, -0.0014568139293834718, 0.001271338967862798,
        0.008722653875188856, -0.008034015082524229, -0.05422000099202896, 0.1640512800334441,
        -0.16603039761528943, -0.09276382658574601, 1.2769783815525286,
    ),
)  # fmt: skip
SIN = polynomial(
    (),
    (
        -3.563436450559837e-06, 0.00016043345133807724, -0.004681753445303471, 0.07969262622461074,
        -0.6459640975061385,
    ),
)  # fmt: skip
COS = polynomial(
    (),
    (
        4.6632053886903437e-07, -2.5200703761965414e-05, 0.0009192601014426249, -0.02086348075319688,
        0.2536695079008304, -1.233700550136169,
    ),
)  # fmt: skip
TWO_OVER_PI = (  # in pieces of 28 bits: a piece times a float32 is exact in float64
    0.6366197690367699, 3.3308114738561656e-09, 2.276010047810136e-18, 2.5268260189002822e-26,
    1.6682867657019525e-34, 1.158871328288855e-43, 7.053959174404295e-52,
)  # fmt: skip


# ---- exponentials


@scalar
def _reduced(x: float) -> tuple[float, float]:
    """k and r = exp(x - k log 2) - 1 with |x - k log 2| at most about log(2) / 2"""
    k = fma(x, LOG2_E, ROUND(x)) - ROUND(x)
    r = fma(-k, LN2_LOW(x), fma(-k, LN2_HIGH(x), x))
    return k, fma(r * r, EXP(r), r)


@scalar
def _exp(x: float) -> float:
    """exp(x) of an x from EXP_LOW to EXP_HIGH, scaled in two steps, as 2^k may be no normal number"""
    k, r = _reduced(x)
    half = fma(k, 0.5, ROUND(x))
    return (r + like(x, 1)) * power_of_two(half) * power_of_two((k - (half - ROUND(x))) + ROUND(x))


@scalar
def _exp_of_minus(a: float) -> float:
    """exp(-a) of a nonnegative a"""
    return _exp(-select(a > -EXP_LOW(a), -EXP_LOW(a), a))


@scalar
def exp(x: float) -> float:
    """exp(x). Error: 1.1, 1.1"""
    high = select(x > EXP_HIGH(x), EXP_HIGH(x), x)
    return _exp(select(high < EXP_LOW(x), EXP_LOW(x), high))


@scalar
def expm1(x: float) -> float:
    """exp(x) - 1 = 2 (2^(k-1) (exp(r) - 1) + (2^(k-1) - 1/2)). Error: 1.6, 1.6"""
    high = select(x > EXP_HIGH(x), EXP_HIGH(x), x)
    k, r = _reduced(select(high < -FLAT(x), -FLAT(x), high))
    scale = power_of_two((k - like(x, 1)) + ROUND(x))
    return copysign(like(x, 2) * fma(scale, r, scale - like(x, 0.5)), x)


@scalar
def logistic(x: float) -> float:
    """1 / (1 + e), or e / (1 + e) where x < 0, with e = exp(-|x|). Error: 1.7, 1.7"""
    e = _exp_of_minus(np.abs(x))
    above = select(x < like(x, 0), e, like(x, 1))
    below = like(x, 1) + e
    lost = e - (below - like(x, 1))
    y = above * (like(x, 1) / below)
    return fma(fma(-y, lost, fma(-y, below, above)), like(x, 1) / below, y)


@scalar
def tanh(x: float) -> float:
    """x + x^3 p(x^2), or from 5/8 on 1 - 2 / (exp(2 |x|) + 1) with the sign of x. Error: 1.7, 1.7"""
    a = np.abs(x)
    twice = like(x, 2) * a
    k, r = _reduced(select(twice > FLAT(x), FLAT(x), twice))
    e = fma(r, power_of_two(k + ROUND(x)), power_of_two(k + ROUND(x)))
    far = like(x, 1) - like(x, 2) / (e + like(x, 1))
    square = a * a
    near = fma(a * square, TANH(square), a)
    return copysign(select(a < like(x, 0.625), near, far), x)


# ---- logarithms


@scalar
def _log(e: float, f: float) -> float:
    """e log 2 + log(1 + f), by log(1 + f) = 2 atanh(s) with s = f / (2 + f), and 2 s = f - s f"""
    s = f / (f + like(f, 2))
    z = s * s
    return fma(e, LN2_HIGH(f), f - fma(s, fma(-z, LOG(z), f), -e * LN2_LOW(f)))


@scalar
def log(x: float) -> float:
    """log(x): -inf at 0, NaN below. Error: 1, 1"""
    tiny = x < SMALLEST_NORMAL(x)
    e, m = split(select(tiny, x * power_of_two(DIGITS(x) + ROUND(x)), x))
    y = _log(e - select(tiny, DIGITS(x), like(x, 0)), m - like(x, 1))
    return _in_domain(x, x, y)


@scalar
def _in_domain(x: float, u: float, y: float) -> float:
    """The logarithm y of u, or what it is at the ends: at u = 0, below, and where x is infinite or NaN"""
    end = select(u == like(u, 0), like(u, -math.inf), like(u, math.nan))
    return select(u > like(u, 0), select(x == like(x, math.inf), x, y), end)


@scalar
def _log1p(x: float) -> float:
    """log(1 + x) of an x above -1, where f = 2^-e (1 + x) - 1 is rounded once"""
    e, m = split(like(x, 1) + x)
    large = e > DIGITS(x)
    scale = power_of_two(select(large, like(x, 0), -e) + ROUND(x))
    return _log(e, select(large, m - like(x, 1), fma(scale, x, scale - like(x, 1))))


@scalar
def log1p(x: float) -> float:
    """log(1 + x): -inf at -1, NaN below. Error: 1.5, 1.5"""
    return _in_domain(x, like(x, 1) + x, copysign(_log1p(x), x))


@scalar
def softplus(x: float) -> float:
    """log(1 + exp(x)) = max(x, 0) + log(1 + exp(-|x|)). Error: 1.9, 1.9"""
    return select(x > like(x, 0), x, like(x, 0)) + _log1p(_exp_of_minus(np.abs(x)))
