"""Independent references of the rule book: each function once more, by hand, in plain NumPy.

They take complex arguments, so that a test can differentiate them by Cauchy's integral, and HIPS autograd can trace
them. Where a formula changes from one piece to the next, `side` chooses by the real part.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import autograd.numpy as np
from autograd.scipy import special

INFINITY = math.inf


@dataclass(frozen=True)
class Reference:
    """What a record is held against. Points outside `domain` overflow or have no value: they are left out."""

    value: Callable  # (x, *parameters)
    domain: Callable = lambda *parameters: (-INFINITY, INFINITY)
    breaks: Callable = lambda *parameters: ()  # real points where it is not analytic, kinks among them
    slopes: Callable = lambda *parameters: {}  # kink -> the subgradient that is promised there
    settings: tuple = ((),)  # of the parameters; () is the default
    edges: dict = field(default_factory=dict)  # point -> value, where the formula above has none


def side(x, left, right):
    """`left` where x < 0, else `right`."""
    return np.where(np.real(x) < 0, left, right)


def middle(x, low, inner, high):
    """`inner` where x lies between low and high, and what it is there outside."""
    return np.where(np.real(x) < low, inner(low), np.where(np.real(x) > high, inner(high), inner(x)))


def decay(x):
    """exp(-|x|), which never overflows."""
    return np.exp(side(x, x, -x))


def logistic(x):
    return side(x, decay(x), 1) / (1 + decay(x))


def softplus(x):
    """max(x, 0) + log(1 + e), where log(1 + e) = 2 artanh(e/(2 + e))."""
    return side(x, 0, x) + np.log1p(decay(x))


def mish(x):
    """x ((1 + e)^2 - 1)/((1 + e)^2 + 1) with e = exp(x): tanh(log(1 + e)) written out."""
    e = decay(x)
    return x * side(x, e * (e + 2), 1 + 2 * e) / side(x, e * (e + 2) + 2, 1 + 2 * e + 2 * e * e)


def gelu(x):
    return x * special.erfc(-x / math.sqrt(2)) / 2


def gelu_tanh(x):
    """x/2 (1 + tanh u) = x/(1 + exp(-2u)) with u = sqrt(2/pi) (x + 0.044715 x^3)."""
    return x * logistic(2 * math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))


def elu(x, alpha=1.0):
    return side(x, alpha * np.expm1(side(x, x, 0 * x)), x)


def selu(x):
    return 1.0507009873554804934193349852946 * elu(x, 1.6732632423543772848170429916717)


def celu(x, alpha=1.0):
    return side(x, alpha * np.expm1(side(x, x, 0 * x) / alpha), x)


def tanh(x):
    """(1 - e^2)/(1 + e^2) with e = exp(-|x|), and x's sign."""
    return side(x, -1, 1) * -np.expm1(-2 * side(x, -x, x)) / (1 + decay(x) ** 2)


def x_log_x(x):
    return x * np.log(x)


def whole_or_positive(k=2.0):
    return (-INFINITY, INFINITY) if k >= 0 and k == int(k) else (1e-300, INFINITY)


zero = lambda *parameters: (0.0,)
positive = lambda: (1e-300, INFINITY)
finite_exp = lambda: (-INFINITY, 709.0)

ELEMENTWISE = {
    "exp": Reference(lambda x: np.cosh(x / 2) ** 2 * (1 + np.tanh(x / 2)) ** 2, finite_exp),
    "log": Reference(lambda x: np.log(np.abs(x)), positive, zero),
}
