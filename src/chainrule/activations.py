"""Activations defined over the primitives: one record each.

At a kink the derivative used is a subgradient, the one PyTorch uses: relu and relu6 0, leaky_relu its slope; the hard
functions continue their constant pieces (hence the order in `minimum(6, ...)`: a tie is decided for the first operand).
"""

from __future__ import annotations

import math

from chainrule.expr import Node
from chainrule.functions import FUNCTIONS, Function, Interval, elementwise
from chainrule.primitives import (
    abs,
    at_zero,
    erfc,
    exp,
    expm1,
    logistic,
    maximum,
    minimum,
    reciprocal,
    softplus,
    step,
    tanh,
)


def _positive(alpha: float) -> bool:
    """alpha > 0"""
    return alpha > 0


identity = elementwise(
    "identity", lambda x: x, d=lambda x, y: 1 + 0 * x, activation=True, transparent=True, text="{0}", latex="{0}"
)
relu = elementwise(
    "relu", lambda x: maximum(x, 0), d=lambda x, y: step(x), latex=r"\max({0}, 0)",
    activation=True, kinks=at_zero, range=Interval(0, closed=True), initializer="he_uniform",
    summary="max(x, 0); the subgradient at 0 is 0",
)  # fmt: skip
leaky_relu = elementwise(
    "leaky_relu", lambda x, slope=0.01: maximum(x, 0) + slope * minimum(x, 0),
    activation=True, kinks=at_zero, initializer="he_uniform", summary="the subgradient at 0 is the slope",
)  # fmt: skip
elu = elementwise(
    "elu", lambda x, alpha=1.0: maximum(x, 0) + alpha * expm1(minimum(x, 0)),
    activation=True, kinks=lambda alpha: () if alpha == 1 else (0.0,), knots=at_zero, initializer="he_uniform",
    summary="x, or alpha (exp(x) - 1) where x <= 0; the subgradient at 0 is alpha (Clevert et al. 2016)",
)  # fmt: skip
selu = elementwise(
    "selu", lambda x: 1.0507009873554805 * (maximum(x, 0) + 1.6732632423543772 * expm1(minimum(x, 0))),
    activation=True, kinks=at_zero, initializer="lecun_normal",
    summary="self-normalizing elu (Klambauer et al. 2017); the subgradient at 0 is that of the left side",
)  # fmt: skip
celu = elementwise(
    "celu", lambda x, alpha=1.0: maximum(x, 0) + alpha * expm1(minimum(x, 0) / alpha), check=_positive,
    activation=True, knots=at_zero, initializer="he_uniform", summary="smooth at 0 for every alpha (Barron 2017)",
)  # fmt: skip
gelu = elementwise(
    "gelu", lambda x: 0.5 * (x * erfc(-math.sqrt(0.5) * x)), activation=True, initializer="he_uniform",
    d=lambda x, y: 0.5 * erfc(-math.sqrt(0.5) * x) + math.sqrt(0.5 / math.pi) * (x * exp(-0.5 * (x * x))),  # -1/2 exact
    summary="x times the normal distribution function, exact (Hendrycks and Gimpel 2016)",
)  # fmt: skip


def _twice_u(x: Node) -> Node:
    """2u = 2 sqrt(2/pi) (x + 0.044715 x^3), for 1 + tanh(u) = 2 logistic(2u)."""
    return math.sqrt(8 / math.pi) * (x + 0.044715 * (x * x * x))


def _gelu_tanh_slope(x: Node, y: Node) -> Node:
    """s + y (1 - s) (2u)' with s = logistic(2u), where 1 - s = logistic(-2u) keeps its digits; y = x s."""
    s: Node = logistic(_twice_u(x))
    rest: Node = logistic(-_twice_u(x))
    return s + y * rest * (math.sqrt(8 / math.pi) * (1 + 3 * 0.044715 * (x * x)))


gelu_tanh = elementwise(
    "gelu_tanh", lambda x: x * logistic(_twice_u(x)), d=_gelu_tanh_slope, activation=True, initializer="he_uniform",
    summary="gelu by tanh, through the logistic function, which keeps its digits where x is negative",
)  # fmt: skip
silu = elementwise(
    "silu", lambda x: x * logistic(x), aliases=("swish",), activation=True, initializer="he_uniform",
    summary="x logistic(x), also called swish",
)  # fmt: skip
mish = elementwise(
    "mish", lambda x: x * tanh(softplus(x)), activation=True, initializer="he_uniform", summary="Misra 2019"
)
softsign = elementwise(
    "softsign", lambda x: x * reciprocal(1 + abs(x)), activation=True, range=Interval(-1, 1), knots=at_zero,
    d=lambda x, y: reciprocal(1 + abs(x)) * reciprocal(1 + abs(x)),  # the definition's own loses digits at large |x|
)  # fmt: skip
hard_tanh = elementwise(
    "hard_tanh", lambda x: minimum(1, maximum(x, -1)), activation=True,
    kinks=lambda: (-1.0, 1.0), range=Interval(-1, 1, closed=True),
)  # fmt: skip
relu6 = elementwise(
    "relu6", lambda x: minimum(6, maximum(x, 0)), activation=True,
    kinks=lambda: (0.0, 6.0), range=Interval(0, 6, closed=True), initializer="he_uniform",
)  # fmt: skip
hard_sigmoid = elementwise(
    "hard_sigmoid", lambda x: minimum(6, maximum(x + 3, 0)) / 6, activation=True,
    kinks=lambda: (-3.0, 3.0), range=Interval(0, 1, closed=True), summary="relu6(x + 3) / 6",
)  # fmt: skip
hard_swish = elementwise(
    "hard_swish", lambda x: x * (minimum(6, maximum(x + 3, 0)) / 6), activation=True,
    kinks=lambda: (-3.0, 3.0), initializer="he_uniform", summary="x hard_sigmoid(x) (Howard et al. 2019)",
)  # fmt: skip
sigmoid = logistic
swish = silu


def activations() -> dict[str, Function]:
    """Every activation by name, aliases included."""
    records = [f for f in FUNCTIONS.values() if f.activation and f.axis != 0]
    return {name: f for f in records for name in (f.name, *f.aliases)}


__all__ = [name for name in activations() if isinstance(globals().get(name), Function)]
