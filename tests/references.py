"""Independent references of the rule book: each function once more, by hand, in plain NumPy.

They take complex numbers, so that a test can differentiate them by Cauchy's integral, and HIPS autograd traces them.
Where a formula changes from one piece to the next, `side` chooses by the real part.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import autograd.numpy as np
from autograd.scipy import special


@dataclass(frozen=True)
class Reference:
    """What a record is held against; what depends on the record's parameters is a function of them."""

    value: Callable  # (x, *parameters); of a rowwise function, along axis 1
    settings: tuple = ((),)  # parameters to test; () is the default
    domain: Callable = lambda *parameters: (-math.inf, math.inf)  # outside, it overflows or has no value
    edges: Mapping = field(default_factory=dict)  # values at points where the formula has none, such as log(0)
    breaks: Callable = lambda *parameters: ()  # where it is not analytic: kinks, jumps and poles
    slopes: Callable = lambda *parameters: {}  # kink -> the subgradient that is promised there
    steep: int = 0  # a tail falls like exp(-|x|^(1 + steep))
    rounding: float = 0.0  # absolute, of the first derivative; it carries its reason


def side(x, left, right):
    """`left` where x < 0, else `right`."""
    return np.where(np.real(x) < 0, left, right)


def between(x, low, high):
    """x, held between low and high."""
    return np.where(np.real(x) < low, low, np.where(np.real(x) > high, high, x))


def decay(x):
    """exp(-|x|), which never overflows."""
    return np.exp(side(x, x, -x))


def log1p(e):
    """log(1 + e) = 2 artanh(e/(2 + e)): NumPy's own loses digits for small complex numbers."""
    return 2 * np.arctanh(e / (2 + e))


def logistic(x):
    return side(x, decay(x), 1) / (1 + decay(x))


def softplus(x):
    return side(x, 0, x) + log1p(decay(x))


def tanh(x):
    """(1 - e^2)/(1 + e^2) with e = exp(-|x|), and the sign of x."""
    return side(x, -1, 1) * -np.expm1(-2 * side(x, -x, x)) / (1 + decay(x) ** 2)


def mish(x):
    """x ((1 + e)^2 - 1)/((1 + e)^2 + 1) with e = exp(x): tanh(log(1 + e)) written out."""
    e = decay(x)
    return x * side(x, e * (e + 2), 1 + 2 * e) / side(x, e * (e + 2) + 2, 1 + 2 * e + 2 * e * e)


def gelu_tanh(x):
    """x/2 (1 + tanh u) = x/(1 + exp(-2u)) with u = sqrt(2/pi) (x + 0.044715 x^3)."""
    return x * logistic(2 * math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))


def expm1(x):
    """exp(x) - 1: autograd takes expm1(x) + 1 for the derivative of NumPy's, and loses the tail."""
    return side(x + 1, np.exp(side(x, x, 0)) - 1, np.expm1(x))


def celu(x, alpha=1.0):
    return side(x, alpha * expm1(side(x, x, 0) / alpha), x)


def elu(x, alpha=1.0):
    return side(x, alpha * expm1(side(x, x, 0)), x)


def softsign(x):
    return x / (1 + side(x, -x, x))


def first_maximum(x):
    return 0 * x + (np.arange(x.shape[1]) == np.argmax(np.real(x), axis=1)[:, None])


def row_maximum(x):
    return np.sum(x * first_maximum(x), axis=1, keepdims=True)


def softmax(x):
    e = np.exp(x - row_maximum(x))
    return e / np.sum(e, axis=1, keepdims=True)


def logsumexp(x):
    return row_maximum(x) + np.log(np.sum(np.exp(x - row_maximum(x)), axis=1, keepdims=True))


zero = lambda *parameters: (0.0,)
flat = lambda *parameters: {0.0: 0.0}
positive = lambda *parameters: (1e-300, math.inf)
no_overflow = lambda: (-math.inf, 709.0)

REFERENCES = {
    "exp": Reference(np.exp, domain=no_overflow, edges={800.0: math.inf}),
    "log": Reference(np.log, domain=positive, edges={0.0: -math.inf, -1.0: math.nan}, breaks=zero),
    "log1p": Reference(log1p, domain=lambda: (-0.9, math.inf), edges={-1.0: -math.inf}, breaks=lambda: (-1.0,)),
    "expm1": Reference(expm1, domain=no_overflow, edges={800.0: math.inf}),
    "sin": Reference(np.sin),
    "cos": Reference(np.cos),
    "erf": Reference(special.erf, steep=1),
    "erfc": Reference(special.erfc, steep=1),
    "sqrt": Reference(np.sqrt, domain=positive, edges={0.0: 0.0, -1.0: math.nan}, breaks=zero),
    "abs": Reference(lambda x: side(x, -x, x), breaks=zero, slopes=flat),
    "sign": Reference(lambda x: side(x, -1, 1) + 0 * x, edges={0.0: 0.0}, breaks=zero, slopes=flat),
    "step": Reference(lambda x: side(-x, 1, 0) + 0 * x, breaks=zero, slopes=flat),
    "reciprocal": Reference(lambda x: 1 / x, edges={0.0: math.inf}, breaks=zero),
    "power": Reference(
        lambda x, k=2.0: x**k,
        settings=((), (3.0,), (1.0,), (0.0,), (0.5,), (-1.5,)),
        domain=lambda k=2.0: (-math.inf, math.inf) if k >= 0 and k == int(k) else positive(),
        breaks=lambda k=2.0: () if k >= 0 and k == int(k) else (0.0,),
    ),
    "tanh": Reference(tanh, rounding=1e-15),  # 1 - y y, with the output: it rounds like 1
    "logistic": Reference(logistic, rounding=1e-15),  # y (1 - y), the same
    "softplus": Reference(softplus),
    "log_softplus": Reference(
        lambda x: np.where(np.real(x) < -300, x, np.log(softplus(np.where(np.real(x) < -300, -300, x))))
    ),
    "x_log_x": Reference(lambda x: x * np.log(x), domain=positive, edges={0.0: 0.0, -1.0: math.nan}, breaks=zero),
    "maximum": Reference(lambda a, b: np.where(np.real(a) > np.real(b), a, b)),
    "minimum": Reference(lambda a, b: np.where(np.real(a) < np.real(b), a, b)),
    "first_maximum": Reference(first_maximum),
    "row_maximum": Reference(row_maximum),
    "softmax": Reference(softmax),
    "log_softmax": Reference(lambda x: x - logsumexp(x)),
    "logsumexp": Reference(logsumexp),
    "identity": Reference(lambda x: x),
    "relu": Reference(lambda x: side(x, 0, x), breaks=zero, slopes=flat),
    "leaky_relu": Reference(
        lambda x, slope=0.01: side(x, slope * x, x),
        settings=((), (0.3,), (0.0,)),
        breaks=zero,
        slopes=lambda slope=0.01: {0.0: slope},
    ),
    "elu": Reference(
        elu, settings=((), (0.5,)), breaks=zero, slopes=lambda alpha=1.0: {} if alpha == 1 else {0.0: alpha}
    ),
    "selu": Reference(
        lambda x: 1.0507009873554804934193 * elu(x, 1.6732632423543772848170),
        breaks=zero,
        slopes=lambda: {0.0: 1.7580993408473768599},
    ),
    "celu": Reference(celu, settings=((), (0.5,)), breaks=zero),
    "gelu": Reference(lambda x: x * special.erfc(-x / math.sqrt(2)) / 2, steep=1),
    "gelu_tanh": Reference(gelu_tanh, steep=1),
    "silu": Reference(lambda x: x * logistic(x)),
    "mish": Reference(mish),
    "softsign": Reference(softsign, breaks=zero),
    "hard_tanh": Reference(
        lambda x: between(x, -1, 1), breaks=lambda: (-1.0, 1.0), slopes=lambda: {-1.0: 0.0, 1.0: 0.0}
    ),
    "relu6": Reference(lambda x: between(x, 0, 6), breaks=lambda: (0.0, 6.0), slopes=lambda: {0.0: 0.0, 6.0: 0.0}),
    "hard_sigmoid": Reference(
        lambda x: between(x + 3, 0, 6) / 6, breaks=lambda: (-3.0, 3.0), slopes=lambda: {-3.0: 0.0, 3.0: 0.0}
    ),
    "hard_swish": Reference(
        lambda x: x * between(x + 3, 0, 6) / 6, breaks=lambda: (-3.0, 3.0), slopes=lambda: {-3.0: 0.0, 3.0: 1.0}
    ),
}
