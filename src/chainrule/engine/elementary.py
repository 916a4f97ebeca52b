"""The elementary functions of the rule book as scalars that a compiled loop calls: one text for float32 and float64.

There are no jumps in them, so that `for i in range(n): D[i] = tanh(A[i])` becomes vector instructions; only sin and cos
in float64, and power in float64 with an unusual exponent, call the C library entry by entry. Infinities, NaN, signed
zeros and results below the smallest normal number are as in NumPy, whatever floating point flags the loop has.

A docstring states the largest error found, in units of the last place (ulp) of the exact value: of float32, then of
float64; tests/engine/test_elementary.py measures it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from chainrule.engine.constants import (
    COS,
    DIGITS,
    ERF,
    ERFC,
    EXP,
    EXP_HIGH,
    EXP_LOW,
    FLAT,
    LN2_HIGH,
    LN2_LOW,
    LOG,
    LOG2_E,
    LOG_ERFC,
    ROUND,
    SIN,
    SMALLEST_NORMAL,
    TANH,
    TWO_OVER_PI,
)
from chainrule.engine.intrinsics import copysign, exponent, fma, like, mantissa, power_of_two, rint, scalar, select

# The functions by their names in the rule book, for each type; `power` takes the exponent as its second argument.
FLOAT32: dict[str, Callable[..., Any]] = {}
FLOAT64: dict[str, Callable[..., Any]] = {}

_F = TypeVar("_F", bound=Callable[..., Any])


def _entered(*tables: dict[str, Callable[..., Any]]) -> Callable[[_F], _F]:
    """A decorator that compiles a scalar function and enters it under its name, less 32 or 64 at its end."""

    def enter(function: _F) -> _F:
        compiled = scalar(function)
        for table in tables:
            table[function.__name__.removesuffix("32").removesuffix("64")] = compiled
        return compiled

    return enter


both, single, double = _entered(FLOAT32, FLOAT64), _entered(FLOAT32), _entered(FLOAT64)


# ---- exponentials


@scalar
def _reduced(x: float) -> tuple[float, float, float]:
    """k and a + b = exp(r) - 1, where r = x - k log 2 is at most about log(2) / 2 and a is r rounded"""
    k = fma(x, LOG2_E, ROUND(x)) - ROUND(x)
    rest = fma(-k, LN2_HIGH(x), x)
    r = fma(-k, LN2_LOW(x), rest)
    lost = fma(-k, LN2_LOW(x), rest - r)
    return k, r, fma(r * r, EXP(r), lost)


@scalar
def _exp(x: float) -> float:
    """exp(x) of an x from EXP_LOW to EXP_HIGH, scaled in two steps, as 2^k may be no normal number"""
    k, a, b = _reduced(x)
    half = fma(k, 0.5, ROUND(x))
    return ((a + b) + like(x, 1)) * power_of_two(half) * power_of_two((k - (half - ROUND(x))) + ROUND(x))


@scalar
def _exp_of_minus(a: float) -> float:
    """exp(-a) of a nonnegative a"""
    return _exp(-select(a > -EXP_LOW(a), -EXP_LOW(a), a))


@both
def exp(x: float) -> float:
    """exp(x). Error: 1, 1"""
    high = select(x > EXP_HIGH(x), EXP_HIGH(x), x)
    return _exp(select(high < EXP_LOW(x), EXP_LOW(x), high))


@both
def expm1(x: float) -> float:
    """exp(x) - 1 = 2 (2^(k-1) (a + b) + (2^(k-1) - 1/2)). Error: 1.4, 1.4"""
    high = select(x > EXP_HIGH(x), EXP_HIGH(x), x)
    k, a, b = _reduced(select(high < -FLAT(x), -FLAT(x), high))
    scale = power_of_two((k - like(x, 1)) + ROUND(x))
    scaled = like(x, 2) * fma(scale, b, fma(scale, a, scale - like(x, 0.5)))
    return copysign(select(k == like(x, 0), a + b, scaled), x)


@both
def logistic(x: float) -> float:
    """1 / (1 + e), or e / (1 + e) where x < 0, with e = exp(-|x|). Error: 1.6, 1.6"""
    e = _exp_of_minus(np.abs(x))
    above = select(x < like(x, 0), e, like(x, 1))
    below = like(x, 1) + e
    lost = e - (below - like(x, 1))
    y = above * (like(x, 1) / below)
    return fma(fma(-y, lost, fma(-y, below, above)), like(x, 1) / below, y)


@both
def tanh(x: float) -> float:
    """x + x^3 p(x^2), or from 5/8 on 1 - 2 / (exp(2 |x|) + 1) with the sign of x. Error: 1.4, 1.4"""
    a = np.abs(x)
    twice = like(x, 2) * a
    k, first, second = _reduced(select(twice > FLAT(x), FLAT(x), twice))
    e = ((first + second) + like(x, 1)) * power_of_two(k + ROUND(x))
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


@both
def log(x: float) -> float:
    """log(x): -inf at 0, NaN below. Error: 1, 1"""
    tiny = x < SMALLEST_NORMAL(x)
    normal = select(tiny, x * power_of_two(DIGITS(x) + ROUND(x)), x)
    e = exponent(normal) - select(tiny, DIGITS(x), like(x, 0))
    y = _log(e, mantissa(normal) - like(x, 1))
    return _in_domain(x, x, y)


@scalar
def _in_domain(x: float, u: float, y: float) -> float:
    """The logarithm y of u, or what it is at the ends: at u = 0, below, and where x is infinite or NaN"""
    end = select(u == like(u, 0), like(u, -math.inf), like(u, math.nan))
    return select(u > like(u, 0), select(x == like(x, math.inf), x, y), end)


@scalar
def _log1p(x: float) -> float:
    """log(1 + x) of an x above -1, where f = 2^-e (1 + x) - 1 is rounded once"""
    u = like(x, 1) + x
    e = exponent(u)
    large = e > DIGITS(x)
    scale = power_of_two(select(large, like(x, 0), -e) + ROUND(x))
    return _log(e, select(large, mantissa(u) - like(x, 1), fma(scale, x, scale - like(x, 1))))


@both
def log1p(x: float) -> float:
    """log(1 + x): -inf at -1, NaN below. Error: 1.6, 1.6"""
    return _in_domain(x, like(x, 1) + x, copysign(_log1p(x), x))


@both
def softplus(x: float) -> float:
    """log(1 + exp(x)) = max(x, 0) + log(1 + exp(-|x|)). Error: 1.8, 1.8"""
    return select(x > like(x, 0), x, like(x, 0)) + _log1p(_exp_of_minus(np.abs(x)))


# ---- the error function


@scalar
def _erf_near(x: float) -> float:
    """erf(x) of an x between -1 and 1: x + x p(x^2)"""
    return fma(x, ERF(x * x), x)


@single
def erf32(x: float) -> float:
    """erf(x), from 1 on as 1 - exp(p(|x|)) with the sign of x. Error: 1.2"""
    a = np.abs(x)
    a = select(a > like(x, 4), like(x, 4), a)
    far = like(x, 1) - _exp(LOG_ERFC(a))
    return select(a < like(x, 1), _erf_near(x), copysign(far, x))


@scalar
def _erfc_far(a: float) -> float:
    """erfc(a) of an a from 1/2 on: exp(-a^2) p((a - 2) / (a + 2)) / (1 + 2 a), with a^2 in twice the digits"""
    a = select(a > 28.0, 28.0, a)
    square = a * a
    lost = fma(a, a, -square)
    e = _exp_of_minus(square)
    return fma(-e, lost, e) * ERFC((a - 2.0) / (a + 2.0)) / fma(2.0, a, 1.0)


@double
def erf64(x: float) -> float:
    """erf(x), from 1 on as 1 - erfc(|x|) with the sign of x. Error: 1"""
    a = np.abs(x)
    return select(a < 1.0, _erf_near(x), copysign(1.0 - _erfc_far(a), x))


@double
def erfc64(x: float) -> float:
    """erfc(x) = 1 - erf(x). Error: 3.5"""
    a = np.abs(x)
    far = _erfc_far(a)
    return select(a < 0.5, fma(-x, ERF(x * x), 1.0 - x), select(x < 0.0, 2.0 - far, far))


@single
def erfc32(x: float) -> np.float32:
    """erfc(x), in float64. Error: 0.51"""
    return np.float32(erfc64(np.float64(x)))


# ---- sine and cosine


@scalar
def _turn(x: float, piece: float, quarters: float, rest: float) -> tuple[float, float]:
    """Add x piece, less whole turns, to a number of quarter turns and the rest of one"""
    product = x * piece
    whole = rint(product)
    return quarters + fma(-4.0, rint(whole * 0.25), whole), rest + (product - whole)


@scalar
def _sine32(x: float, ahead: float) -> np.float32:
    """sin(x + ahead pi / 2): x 2 / pi is formed exactly, so that the largest x is as good as any"""
    t = np.float64(x)
    q, u = _turn(t, TWO_OVER_PI[0], ahead, 0.0)
    q, u = _turn(t, TWO_OVER_PI[1], q, u)
    q, u = _turn(t, TWO_OVER_PI[2], q, u)
    q, u = _turn(t, TWO_OVER_PI[3], q, u)
    q, u = _turn(t, TWO_OVER_PI[4], q, u)
    q, u = _turn(t, TWO_OVER_PI[5], q, u)
    q, u = _turn(t, TWO_OVER_PI[6], q, u)
    q, u = q + rint(u), u - rint(u)
    z = u * u
    odd = np.abs(fma(-2.0, rint(q * 0.5), q)) == 1.0
    y = select(odd, fma(z, COS(z), 1.0), u * fma(z, SIN(z), 0.5 * math.pi))
    turned = fma(-4.0, rint((q - 0.5) * 0.25), q)  # -1, 0, 1 or 2, and the sine is below 0 at -1 and 2
    return np.float32(select(np.abs(turned - 0.5) > 1.0, -y, y))


@single
def sin32(x: float) -> np.float32:
    """sin(x), in float64. Error: 0.51"""
    return np.float32(select(x == like(x, 0), x, _sine32(x, 0.0)))


@single
def cos32(x: float) -> np.float32:
    """cos(x), in float64. Error: 0.51"""
    return _sine32(x, 1.0)


@double
def sin64(x: float) -> float:
    """sin(x) of the C library"""
    return math.sin(x)


@double
def cos64(x: float) -> float:
    """cos(x) of the C library"""
    return math.cos(x)


# ---- powers


@scalar
def _power32(x: float, p: float) -> Any:
    """x^p = exp(p log |x|) in float64, with the sign of x where p is odd, and NaN below 0 where p is no integer"""
    p = np.float64(p)
    y = np.float32(exp(select(p == 0.0, 0.0, p * log(np.float64(np.abs(x))))))
    whole = rint(p) == p
    odd = whole & (rint(p * 0.5) != p * 0.5)
    outside = (x < like(x, 0)) & (x > like(x, -math.inf)) & ~whole
    return select(outside, like(x, math.nan), select(odd, copysign(y, x), y))


@scalar
def _power64(x: float, p: float) -> Any:
    """x^p of the C library"""
    return math.pow(x, p)


def _power(general: Callable[[float, float], Any]) -> Callable[[float, float], Any]:
    def power(x: float, p: float) -> Any:
        """x^p; the usual exponents, which a loop decides once, by products and roots. Error: 1.4, 1.4"""
        if p == 2:
            return x * x
        if p == 3:
            return x * x * x
        if p == -1:
            return reciprocal(x)
        if p == 0.5:
            return sqrt(x)
        if p == 1:
            return x
        return general(x, p)

    return power


single(_power(_power32))
double(_power(_power64))


# ---- entries that are one instruction or two


@both
def sqrt(x: float) -> Any:
    """The square root, NaN below 0. Error: 0.5, 0.5"""
    return np.sqrt(x)


@both
def reciprocal(x: float) -> float:
    """1 / x. Error: 0.5, 0.5"""
    return like(x, 1) / x


@both
def abs(x: float) -> Any:
    """|x|. Error: 0, 0"""
    return np.abs(x)


@both
def sign(x: float) -> float:
    """-1, 0 or 1; NaN of NaN. Error: 0, 0"""
    return select(x == x, copysign(select(x == like(x, 0), like(x, 0), like(x, 1)), x) + like(x, 0), x)


@both
def step(x: float) -> float:
    """1 where x > 0, else 0; NaN of NaN. Error: 0, 0"""
    return select(x > like(x, 0), like(x, 1), select(x == x, like(x, 0), x))


@both
def maximum(a: float, b: float) -> float:
    """The larger one, or the one that is NaN"""
    return select((a > b) | (a != a), a, b)


@both
def minimum(a: float, b: float) -> float:
    """The smaller one, or the one that is NaN"""
    return select((a < b) | (a != a), a, b)


@both
def x_log_x(x: float) -> float:
    """x log(x), and 0 at 0. Error: 1.9, 1.9"""
    return select(x == like(x, 0), like(x, 0), x * log(x))


@double
def log_softplus64(x: float) -> float:
    """log(softplus(x)), below -40 x itself. Error: 2, beside its zero 2 ulp of 1"""
    return select(x < -40.0, x, log(softplus(select(x < -40.0, -40.0, x))))


@single
def log_softplus32(x: float) -> np.float32:
    """log(softplus(x)), in float64. Error: 0.51"""
    return np.float32(log_softplus64(np.float64(x)))
