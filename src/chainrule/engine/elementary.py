"""The elementary functions of the rule book on vectors: one text for float32 and float64.

They write vector instructions without jumps; only sin and cos in float64, and power in float64, call the C library
entry by entry. Infinities, NaN, signed zeros and results below the smallest normal number are as in NumPy.

A docstring states the largest error found, in units of the last place (ulp) of the exact value: of float32, then of
float64; tests/engine/test_elementary.py measures it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

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
from chainrule.engine.lanes import Lanes, copysign, exponent, fma, mantissa, power_of_two, rint, select

# The functions by their names in the rule book, for each type; `power` takes the exponent as its second argument.
FLOAT32: dict[str, Callable[..., Any]] = {}
FLOAT64: dict[str, Callable[..., Any]] = {}

_F = TypeVar("_F", bound=Callable[..., Any])


def _entered(*tables: dict[str, Callable[..., Any]]) -> Callable[[_F], _F]:
    """A decorator that enters a function under its name, less 32 or 64 at its end."""

    def enter(function: _F) -> _F:
        for table in tables:
            table[function.__name__.removesuffix("32").removesuffix("64")] = function
        return function

    return enter


both, single, double = _entered(FLOAT32, FLOAT64), _entered(FLOAT32), _entered(FLOAT64)


# ---- exponentials


def _reduced(x: Lanes) -> tuple[Lanes, Lanes, Lanes]:
    """k and a + b = exp(r) - 1, where r = x - k log 2 is at most about log(2) / 2 and a is r rounded"""
    k = fma(x, LOG2_E, ROUND(x)) - ROUND(x)
    rest = fma(-k, LN2_HIGH(x), x)
    r = fma(-k, LN2_LOW(x), rest)
    lost = fma(-k, LN2_LOW(x), rest - r)
    return k, r, fma(r * r, EXP(r), lost)


def _exp(x: Lanes) -> Lanes:
    """exp(x) of an x from EXP_LOW to EXP_HIGH, scaled in two steps, as 2^k may be no normal number"""
    k, a, b = _reduced(x)
    half = fma(k, 0.5, ROUND(x))
    return ((a + b) + 1) * power_of_two(half) * power_of_two((k - (half - ROUND(x))) + ROUND(x))


def _exp_of_minus(a: Lanes) -> Lanes:
    """exp(-a) of a nonnegative a"""
    return _exp(-select(a > -EXP_LOW(a), -EXP_LOW(a), a))


@both
def exp(x: Lanes) -> Lanes:
    """exp(x). Error: 1, 1"""
    high = select(x > EXP_HIGH(x), EXP_HIGH(x), x)
    return _exp(select(high < EXP_LOW(x), EXP_LOW(x), high))


@both
def expm1(x: Lanes) -> Lanes:
    """exp(x) - 1 = 2 (2^(k-1) (a + b) + (2^(k-1) - 1/2)). Error: 1.4, 1.4"""
    high = select(x > EXP_HIGH(x), EXP_HIGH(x), x)
    k, a, b = _reduced(select(high < -FLAT(x), -FLAT(x), high))
    scale = power_of_two((k - 1) + ROUND(x))
    scaled = 2 * fma(scale, b, fma(scale, a, scale - 0.5))
    return copysign(select(k.equals(0), a + b, scaled), x)


@both
def logistic(x: Lanes) -> Lanes:
    """1 / (1 + e), or e / (1 + e) where x < 0, with e = exp(-|x|). Error: 1.6, 1.6"""
    e = _exp_of_minus(abs(x))
    above = select(x < 0, e, 1)
    below = 1 + e
    lost = e - (below - 1)
    y = above * (1 / below)
    return fma(fma(-y, lost, fma(-y, below, above)), 1 / below, y)


@both
def tanh(x: Lanes) -> Lanes:
    """x + x^3 p(x^2), or from 5/8 on 1 - 2 / (exp(2 |x|) + 1) with the sign of x. Error: 1.4, 1.4"""
    a = abs(x)
    twice = 2 * a
    k, first, second = _reduced(select(twice > FLAT(x), FLAT(x), twice))
    e = ((first + second) + 1) * power_of_two(k + ROUND(x))
    far = 1 - 2 / (e + 1)
    square = a * a
    near = fma(a * square, TANH(square), a)
    return copysign(select(a < 0.625, near, far), x)


# ---- logarithms


def _log(e: Lanes, f: Lanes) -> Lanes:
    """e log 2 + log(1 + f), by log(1 + f) = 2 atanh(s) with s = f / (2 + f), and 2 s = f - s f"""
    s = f / (f + 2)
    z = s * s
    return fma(e, LN2_HIGH(f), f - fma(s, fma(-z, LOG(z), f), -e * LN2_LOW(f)))


@both
def log(x: Lanes) -> Lanes:
    """log(x): -inf at 0, NaN below. Error: 1, 1"""
    tiny = x < SMALLEST_NORMAL(x)
    normal = select(tiny, x * 2.0 ** DIGITS(x), x)
    e = exponent(normal) - select(tiny, x.like(DIGITS(x)), 0)
    y = _log(e, mantissa(normal) - 1)
    return _in_domain(x, x, y)


def _in_domain(x: Lanes, u: Lanes, y: Lanes) -> Lanes:
    """The logarithm y of u, or what it is at the ends: at u = 0, below, and where x is infinite or NaN"""
    end = select(u.equals(0), u.like(-math.inf), math.nan)
    return select(u > 0, select(x.equals(math.inf), x, y), end)


def _log1p(x: Lanes) -> Lanes:
    """log(1 + x) of an x above -1, where f = 2^-e (1 + x) - 1 is rounded once"""
    u = 1 + x
    e = exponent(u)
    large = e > DIGITS(x)
    scale = power_of_two(select(large, 0, -e) + ROUND(x))
    return _log(e, select(large, mantissa(u) - 1, fma(scale, x, scale - 1)))


@both
def log1p(x: Lanes) -> Lanes:
    """log(1 + x): -inf at -1, NaN below. Error: 1.6, 1.6"""
    return _in_domain(x, 1 + x, copysign(_log1p(x), x))


@both
def softplus(x: Lanes) -> Lanes:
    """log(1 + exp(x)) = max(x, 0) + log(1 + exp(-|x|)). Error: 1.8, 1.8"""
    return select(x > 0, x, 0) + _log1p(_exp_of_minus(abs(x)))


# ---- the error function


def _erf_near(x: Lanes) -> Lanes:
    """erf(x) of an x between -1 and 1: x + x p(x^2)"""
    return fma(x, ERF(x * x), x)


@single
def erf32(x: Lanes) -> Lanes:
    """erf(x), from 1 on as 1 - exp(p(|x|)) with the sign of x. Error: 1.2"""
    a = abs(x)
    a = select(a > 4, 4, a)
    far = 1 - _exp(LOG_ERFC(a))
    return select(a < 1, _erf_near(x), copysign(far, x))


def _erfc_far(a: Lanes) -> Lanes:
    """erfc(a) of an a from 1/2 on: exp(-a^2) p((a - 2) / (a + 2)) / (1 + 2 a), with a^2 in twice the digits"""
    a = select(a > 28.0, 28.0, a)
    square = a * a
    lost = fma(a, a, -square)
    e = _exp_of_minus(square)
    return fma(-e, lost, e) * ERFC((a - 2.0) / (a + 2.0)) / fma(a, 2.0, 1.0)


@double
def erf64(x: Lanes) -> Lanes:
    """erf(x), from 1 on as 1 - erfc(|x|) with the sign of x. Error: 1"""
    a = abs(x)
    return select(a < 1.0, _erf_near(x), copysign(1.0 - _erfc_far(a), x))


@double
def erfc64(x: Lanes) -> Lanes:
    """erfc(x) = 1 - erf(x). Error: 3.5"""
    a = abs(x)
    far = _erfc_far(a)
    return select(a < 0.5, fma(-x, ERF(x * x), 1.0 - x), select(x < 0.0, 2.0 - far, far))


@single
def erfc32(x: Lanes) -> Lanes:
    """erfc(x), in float64. Error: 0.51"""
    return erfc64(x.converted(64)).converted(32)


# ---- sine and cosine


def _turn(x: Lanes, piece: float, quarters: Lanes, rest: Lanes) -> tuple[Lanes, Lanes]:
    """Add x piece, less whole turns, to a number of quarter turns and the rest of one"""
    product = x * piece
    whole = rint(product)
    return quarters + fma(rint(whole * 0.25), -4.0, whole), rest + (product - whole)


def _sine32(x: Lanes, ahead: float) -> Lanes:
    """sin(x + ahead pi / 2): x 2 / pi is formed exactly, so that the largest x is as good as any"""
    t = x.converted(64)
    q, u = t.like(ahead), t.like(0)
    for piece in TWO_OVER_PI:
        q, u = _turn(t, piece, q, u)
    q, u = q + rint(u), u - rint(u)
    z = u * u
    odd = abs(fma(rint(q * 0.5), -2.0, q)).equals(1.0)
    y = select(odd, fma(z, COS(z), 1.0), u * fma(z, SIN(z), 0.5 * math.pi))
    turned = fma(rint((q - 0.5) * 0.25), -4.0, q)  # -1, 0, 1 or 2, and the sine is below 0 at -1 and 2
    return select(abs(turned - 0.5) > 1.0, -y, y).converted(32)


@single
def sin32(x: Lanes) -> Lanes:
    """sin(x), in float64. Error: 0.51"""
    return select(x.equals(0), x, _sine32(x, 0.0))


@single
def cos32(x: Lanes) -> Lanes:
    """cos(x), in float64. Error: 0.51"""
    return _sine32(x, 1.0)


@double
def sin64(x: Lanes) -> Lanes:
    """sin(x) of the C library"""
    return x.call("sin")


@double
def cos64(x: Lanes) -> Lanes:
    """cos(x) of the C library"""
    return x.call("cos")


# ---- powers


@single
def power32(x: Lanes, p: Lanes) -> Lanes:
    """x^p = exp(p log |x|) in float64, with the sign of x where p is odd, and NaN below 0 where p is no integer.

    Error: 0.51
    """
    exact = p.converted(64)
    y = exp(select(exact.equals(0), 0, exact * log(abs(x).converted(64)))).converted(32)
    whole = rint(p).equals(p)
    odd = whole & ~rint(p * 0.5).equals(p * 0.5)
    outside = (x < 0) & (x > -math.inf) & ~whole
    return select(outside, math.nan, select(odd, copysign(y, x), y))


@double
def power64(x: Lanes, p: Lanes) -> Lanes:
    """x^p of the C library. Error: 1"""
    return x.call("pow", p)


# ---- entries that are one instruction or two


@both
def sqrt(x: Lanes) -> Lanes:
    """The square root, NaN below 0. Error: 0.5, 0.5"""
    return x.call("sqrt")


@both
def reciprocal(x: Lanes) -> Lanes:
    """1 / x. Error: 0.5, 0.5"""
    return 1 / x


@both
def abs(x: Lanes) -> Lanes:
    """|x|. Error: 0, 0"""
    return x.call("fabs")


@both
def sign(x: Lanes) -> Lanes:
    """-1, 0 or 1; NaN of NaN. Error: 0, 0"""
    return select(x.is_nan(), x, copysign(select(x.equals(0), x, 1), x) + 0)


@both
def step(x: Lanes) -> Lanes:
    """1 where x > 0, else 0; NaN of NaN. Error: 0, 0"""
    return select(x > 0, 1, select(x.is_nan(), x, 0))


@both
def maximum(a: Lanes, b: Lanes) -> Lanes:
    """The larger one, or the one that is NaN"""
    return select((a > b) | a.is_nan(), a, b)


@both
def minimum(a: Lanes, b: Lanes) -> Lanes:
    """The smaller one, or the one that is NaN"""
    return select((a < b) | a.is_nan(), a, b)


@both
def x_log_x(x: Lanes) -> Lanes:
    """x log(x), and 0 at 0. Error: 1.9, 1.9"""
    return select(x.equals(0), 0, x * log(x))


@double
def log_softplus64(x: Lanes) -> Lanes:
    """log(softplus(x)), below -40 x itself. Error: 2, beside its zero 2 ulp of 1"""
    return select(x < -40.0, x, log(softplus(select(x < -40.0, -40.0, x))))


@single
def log_softplus32(x: Lanes) -> Lanes:
    """log(softplus(x)), in float64. Error: 0.51"""
    return log_softplus64(x.converted(64)).converted(32)
