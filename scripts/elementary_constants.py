"""The constants of the engine's elementary functions, computed from their definitions.

Each polynomial interpolates its function at Chebyshev nodes, in 90 decimal digits: within a small factor of the
minimax polynomial of its degree. Run it to see the tables, and how far each polynomial is from its function.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, getcontext

import numpy as np

getcontext().prec = 90
ONE, TWO = Decimal(1), Decimal(2)
LN2 = TWO.ln()


def arctan_of_reciprocal(n: int) -> Decimal:
    """arctan(1/n) = sum (-1)^k / ((2 k + 1) n^(2 k + 1))"""
    return sum(((-ONE) ** k / (2 * k + 1) / Decimal(n) ** (2 * k + 1) for k in range(220)), Decimal(0))


PI = 4 * (4 * arctan_of_reciprocal(5) - arctan_of_reciprocal(239))  # Machin 1706


def series(x: Decimal, first: Decimal, ratio: Callable[[int], Decimal]) -> Decimal:
    """first (1 + ratio(1) + ratio(1) ratio(2) + ...)"""
    total, term, k = Decimal(0), first, 0
    while abs(term) > Decimal("1e-95") * abs(first):
        total += term
        k += 1
        term *= ratio(k)
    return total


def exp_rest(r: Decimal) -> Decimal:
    """(exp(r) - 1 - r) / r^2"""
    return series(r, ONE / 2, lambda k: r / (k + 2))


def atanh_rest(z: Decimal) -> Decimal:
    """(2 atanh(s) / s - 2) / z at z = s^2"""
    s = z.sqrt()
    return (((1 + s) / (1 - s)).ln() / s - 2) / z


def erf_ratio(z: Decimal) -> Decimal:
    """erf(x) / x at z = x^2: 2 / sqrt(pi) exp(-z) sum (2 z)^k / (1 3 ... (2 k + 1))"""
    return series(z, 2 / PI.sqrt() * (-z).exp(), lambda k: 2 * z / (2 * k + 1))


def scaled_erfc(x: Decimal) -> Decimal:
    """exp(x^2) erfc(x): by erf, or from 5 on by the continued fraction 1 / (x + 1/2 / (x + 1 / (x + ...)))"""
    if x < 5:
        return (x * x).exp() * (1 - x * erf_ratio(x * x))
    tail = x
    for k in range(400, 0, -1):
        tail = x + Decimal(k) / 2 / tail
    return 1 / tail / PI.sqrt()


def erf_rest(z: Decimal) -> Decimal:
    """erf(x) / x - 1 at z = x^2"""
    return erf_ratio(z) - 1


def log_erfc(x: Decimal) -> Decimal:
    """log(erfc(x))"""
    return scaled_erfc(x).ln() - x * x


def folded_erfc(q: Decimal) -> Decimal:
    """(1 + 2 x) exp(x^2) erfc(x) at q = (x - 2) / (x + 2), Shepherd and Laframboise 1981"""
    x = 2 * (1 + q) / (1 - q)
    return (1 + 2 * x) * scaled_erfc(x)


def tanh_rest(z: Decimal) -> Decimal:
    """(tanh(x) / x - 1) / z at z = x^2, by the continued fraction 1 / (1 + z / (3 + z / (5 + ...)))"""
    tail = Decimal(201)
    for k in range(199, 0, -2):
        tail = k + z / tail
    return (1 / tail - 1) / z


def sin_rest(z: Decimal) -> Decimal:
    """(sin(pi/2 u) / u - pi/2) / z at z = u^2"""
    a = PI / 2
    return series(z, -(a**3) / 6, lambda k: -z * a * a / ((2 * k + 2) * (2 * k + 3)))


def cos_rest(z: Decimal) -> Decimal:
    """(cos(pi/2 u) - 1) / z at z = u^2"""
    a = PI / 2
    return series(z, -a * a / 2, lambda k: -z * a * a / ((2 * k + 1) * (2 * k + 2)))


def chebyshev_nodes(low: Decimal, high: Decimal, n: int) -> list[Decimal]:
    """Where the Chebyshev polynomial of degree n is 0, on an interval."""
    cosines = [_cos((2 * k + 1) * PI / (2 * n)) for k in range(n)]
    return [(low + high) / 2 + (high - low) / 2 * c for c in cosines]


def _cos(a: Decimal) -> Decimal:
    return series(a, ONE, lambda k: -a * a / ((2 * k - 1) * (2 * k)))


def interpolate(function: Callable[[Decimal], Decimal], low: Decimal, high: Decimal, degree: int) -> list[Decimal]:
    """The coefficients of the polynomial that meets the function at Chebyshev nodes, the highest power first."""
    nodes = chebyshev_nodes(low, high, degree + 1)
    divided = [function(x) for x in nodes]
    for order in range(1, len(nodes)):  # Newton's divided differences, from the last upwards
        for i in range(len(nodes) - 1, order - 1, -1):
            divided[i] = (divided[i] - divided[i - 1]) / (nodes[i] - nodes[i - order])
    coefficients = [divided[-1]]
    for node, d in zip(nodes[-2::-1], divided[-2::-1], strict=True):  # multiply by (x - node), add d
        shifted = [*coefficients, Decimal(0)]
        coefficients = [a - node * b for a, b in zip(shifted, [Decimal(0), *coefficients], strict=True)]
        coefficients[-1] += d
    return coefficients


def error(function: Callable[[Decimal], Decimal], low: Decimal, high: Decimal, coefficients: list[float]) -> float:
    """The largest |p(x) / f(x) - 1| of the rounded coefficients on a grid, evaluated exactly."""
    worst = Decimal(0)
    for x in chebyshev_nodes(low, high, 101):
        value = Decimal(0)
        for c in coefficients:
            value = value * x + Decimal(c)
        worst = max(worst, abs(value / function(x) - 1))
    return float(worst)


HALF_LN2 = LN2 / 2
ROOT = TWO.sqrt()
NARROW = (Decimal("1e-30"), ((ROOT - 1) / (ROOT + 1)) ** 2)

# name: (function, interval, degree)
FLOAT32 = {
    "EXP": (exp_rest, (-HALF_LN2, HALF_LN2), 4),
    "LOG": (atanh_rest, NARROW, 3),
    "TANH": (tanh_rest, (Decimal("1e-30"), Decimal("0.4")), 4),
    "ERF": (erf_rest, (Decimal("1e-30"), ONE), 6),
    "LOG_ERFC": (log_erfc, (ONE, Decimal(4)), 8),
}
FLOAT64 = {
    "EXP": (exp_rest, (-HALF_LN2, HALF_LN2), 9),
    "LOG": (atanh_rest, NARROW, 6),
    "TANH": (tanh_rest, (Decimal("1e-30"), Decimal("0.4")), 11),
    "ERF": (erf_rest, (Decimal("1e-30"), ONE), 13),
    "ERFC": (folded_erfc, (Decimal("-0.6"), Decimal(26) / 30), 22),
    "SIN": (sin_rest, (Decimal("1e-30"), ONE / 4), 4),
    "COS": (cos_rest, (Decimal("1e-30"), ONE / 4), 5),
}


def two_over_pi() -> list[float]:
    """2 / pi in pieces of 28 bits, so that the product with a float32 is exact in float64."""
    rest, pieces = 2 / PI, []
    for i in range(1, 8):
        unit = TWO ** (-28 * i)
        pieces.append(float(int(rest / unit) * unit))
        rest -= Decimal(pieces[-1])
    return pieces


def main() -> None:
    """Print the tables."""
    for kind, table in ((np.float32, FLOAT32), (np.float64, FLOAT64)):
        for name, (function, (low, high), degree) in table.items():
            values = [kind(str(c)) for c in interpolate(function, low, high, degree)]
            off = error(function, low, high, [float(v) for v in values])
            print(f"{name} = (  # {kind.__name__}, off by {off:.1e}")
            print(*(f"    {v!s}," for v in values), ")", sep="\n")
    print("TWO_OVER_PI =", two_over_pi())


if __name__ == "__main__":
    main()
