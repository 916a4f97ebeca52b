"""The primitives of the rule book, one record each: what every other function is defined over.

A derivative may use the output: `d(x, y)`. At a kink a subgradient is used, stated in the record.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import scipy  # and not scipy.special, which a kernel loads when it runs: it doubles the time of an import

from chainrule.expr import Node, full, scale
from chainrule.functions import (
    Array,
    Function,
    Interval,
    Kernel,
    along,
    elementwise,
    record,
    reduced,
    rowwise,
    spread,
    totals,
)
from chainrule.shapes import Shape, same_shape

at_zero = lambda *parameters: (0.0,)  # a kink at 0, read as data in the records below

exp = elementwise("exp", d=lambda x, y: y, kernel=np.exp, numpy="np.exp({0})", latex=r"\exp({0})", range=Interval(0))
log: Function = elementwise("log", d=lambda x, y: reciprocal(x), kernel=np.log, numpy="np.log({0})", latex=r"\log({0})")
log1p: Function = elementwise(
    "log1p", d=lambda x, y: reciprocal(1 + x), kernel=np.log1p, numpy="np.log1p({0})", latex=r"\log(1 + {0})"
)
expm1: Function = elementwise(
    "expm1", d=lambda x, y: exp(x), kernel=np.expm1, numpy="np.expm1({0})", latex=r"(\exp({0}) - 1)"
)
sin: Function = elementwise("sin", d=lambda x, y: cos(x), kernel=np.sin, numpy="np.sin({0})", latex=r"\sin({0})")
cos: Function = elementwise("cos", d=lambda x, y: -sin(x), kernel=np.cos, numpy="np.cos({0})", latex=r"\cos({0})")
erf = elementwise(
    "erf", d=lambda x, y: scale(exp(-(x * x)), 2 / math.sqrt(math.pi)),
    kernel=lambda x: scipy.special.erf(x), numpy="scipy.special.erf({0})", range=Interval(-1, 1),
)  # fmt: skip
erfc = elementwise(
    "erfc", d=lambda x, y: scale(exp(-(x * x)), -2 / math.sqrt(math.pi)),
    kernel=lambda x: scipy.special.erfc(x), numpy="scipy.special.erfc({0})", range=Interval(0, 2),
    summary="1 - erf(x), accurate where erf(x) is nearly 1",
)  # fmt: skip
sqrt: Function = elementwise(
    "sqrt", d=lambda x, y: scale(reciprocal(y), "1/2"), kernel=np.sqrt, numpy="np.sqrt({0})", latex=r"\sqrt{{{0}}}",
    range=Interval(0, closed=True),
)  # fmt: skip
abs: Function = elementwise(  # the public name is cr.abs
    "abs", d=lambda x, y: sign(x), kernel=np.abs, numpy="np.abs({0})", latex=r"|{0}|", text="|{0}|", kinks=at_zero,
    range=Interval(0, closed=True), summary="the subgradient at 0 is 0",
)  # fmt: skip
sign: Function = elementwise(
    "sign", d=lambda x, y: full(0, x.shape), kernel=np.sign, numpy="np.sign({0})",
    range=Interval(-1, 1, closed=True), kinks=at_zero, summary="sign(0) = 0",
)  # fmt: skip
step = elementwise(
    "step", d=lambda x, y: full(0, x.shape), kernel=lambda x: np.heaviside(x, 0), numpy="np.heaviside({0}, 0)",
    boolean="({0} > 0)", latex=r"[{0} > 0]", text="[{0} > 0]", range=Interval(0, 1, closed=True), kinks=at_zero,
    summary="1 where x > 0, else 0: step(0) = 0",
)  # fmt: skip
reciprocal: Function = elementwise(
    "reciprocal", d=lambda x, y: -(y * y), kernel=lambda x: 1 / x, numpy="1 / {0}", latex=r"\frac{{1}}{{{0}}}",
    text="1/{0}",
)  # fmt: skip
power: Function = elementwise(
    "power", d=lambda x, y, k: scale(power(x, k - 1), k) if k - 1 else full(1, x.shape),
    kernel=lambda x, k: x**k, numpy="{0}**{p0}", latex=r"{0}^{{\odot {p0}}}", text="{0}.^{p0}", parameters={"k": 2.0},
    summary="x to the power of a constant k",
)  # fmt: skip
tanh: Function = elementwise(
    "tanh", d=lambda x, y: 1 - y * y, kernel=np.tanh, numpy="np.tanh({0})", latex=r"\tanh({0})",
    activation=True, range=Interval(-1, 1),
)  # fmt: skip
logistic = elementwise(
    "logistic", d=lambda x, y: y * (1 - y), kernel=lambda x: scipy.special.expit(x),
    numpy="np.exp(np.minimum({0}, 0)) / (1 + np.exp(-np.abs({0})))",  # 1 / (1 + exp(-x)) overflows at -800
    latex=r"\sigma({0})", activation=True, range=Interval(0, 1), partner="binary_cross_entropy", aliases=("sigmoid",),
    summary="1 / (1 + exp(-x)), also called sigmoid",
)  # fmt: skip
softplus = elementwise(
    "softplus", d=lambda x, y: logistic(x), kernel=lambda x: np.logaddexp(0, x), numpy="np.logaddexp(0, {0})",
    activation=True, initializer="he_uniform", range=Interval(0), summary="log(1 + exp(x))",
)  # fmt: skip
log_softplus = elementwise(
    "log_softplus", d=lambda x, y: exp(-softplus(-x) - y), kernel=lambda x: _log_softplus(x),
    numpy="np.where({0} < -40, {0}, np.log(np.logaddexp(0, np.maximum({0}, -40))))",
    latex=r"\log\operatorname{{softplus}}({0})", summary="log(softplus(x)), which is x where x is very negative",
)  # fmt: skip
x_log_x = elementwise(
    "x_log_x", d=lambda x, y: 1 + log(x), kernel=lambda x: x * np.log(np.where(x == 0, 1, x)),
    numpy="{0} * np.log(np.where({0} == 0, 1, {0}))", latex=r"{0} \log {0}", summary="x log x, and 0 at 0",
)  # fmt: skip


def _log_softplus(x: Array) -> Array:
    """Below -40, softplus(x) is exp(x) to the last digit."""
    return np.where(x < -40, x, np.log(np.logaddexp(0, np.maximum(x, -40))))


def _binary(name: str, to_first: Callable[[Node, Node], Node], kernel: Kernel, summary: str) -> Function:
    """Record a choice between two matrices: `to_first` is 1 where the first is chosen, else 0."""

    def vjp(G: Node, Y: Node, operand: int) -> Node:
        chosen = to_first(*Y.args)
        return G * (1 - chosen if operand else chosen)

    return record(
        __name__, name, same_shape, vjp, f"np.{name}({{0}}, {{1}})", kernel=kernel, operands=2, summary=summary,
        latex=rf"\{name[:3]}({{0}}, {{1}})", text=f"{name}({{0}}, {{1}})",
    )  # fmt: skip


maximum = _binary("maximum", lambda a, b: step(a - b), np.maximum, "at a tie the derivative goes to the second operand")
minimum = _binary(
    "minimum", lambda a, b: 1 - step(a - b), np.minimum, "at a tie the derivative goes to the first operand"
)


# ---- rowwise functions: row_maximum and its indicator are primitives, the others are defined


def _drop_axis(shape: Shape, axis: int) -> Shape:
    return (shape[0], 1) if axis else (1, shape[1])


def _first_maximum(x: Array, axis: int) -> Array:
    out = np.zeros_like(x)
    np.put_along_axis(out, np.argmax(x, axis=axis, keepdims=True), 1, axis)
    return out


first_maximum = rowwise(
    "first_maximum", vjp=lambda G, Y, axis: full(0, G.shape), kernel=_first_maximum,
    numpy="(np.indices({0}.shape)[{axis}] == {0}.argmax(axis={axis}, keepdims=True)).astype({0}.dtype)",
    facts=("rows_sum_to_one",), summary="1 at the first largest entry of each row, else 0",
)  # fmt: skip
row_maximum = rowwise(
    "row_maximum", vjp=lambda G, Y, axis: spread(G, Y.args[0], axis) * along(first_maximum, axis)(Y.args[0]),
    shape=_drop_axis, kernel=lambda x, axis: x.max(axis=axis, keepdims=True),
    numpy="{0}.max(axis={axis}, keepdims=True)", latex=r"\operatorname{{rowmax}}({0})",
    summary="the largest entry of each row; the derivative goes to the first of equals",
)  # fmt: skip


def _shifted(x: Node, axis: int) -> Node:
    """x less the maximum of its row: exp of it never overflows."""
    return x - spread(along(row_maximum, axis)(x), x, axis)


def _softmax(x: Node, axis: int) -> Node:
    e: Node = exp(_shifted(x, axis))
    return e * spread(reciprocal(reduced(e, axis)), x, axis)


def _log_softmax(x: Node, axis: int) -> Node:
    s = _shifted(x, axis)
    return s - spread(log(reduced(exp(s), axis)), x, axis)


softmax = rowwise(
    "softmax", definition=_softmax, vjp=lambda G, P, axis: P * (G - totals(G * P, axis)),
    activation=True, range=Interval(0, 1), facts=("rows_sum_to_one", "nonnegative"), partner="cross_entropy",
    summary="exp(x) divided by its row's sum",
)  # fmt: skip
log_softmax = rowwise(
    "log_softmax", definition=_log_softmax,
    vjp=lambda G, Y, axis: G - along(softmax, axis)(Y.args[0]) * totals(G, axis),
    latex=r"\log\operatorname{{softmax}}({0})", activation=True, range=Interval(high=0),
    summary="log(softmax(x)), finite at any score",
)  # fmt: skip
logsumexp = rowwise(
    "logsumexp", shape=_drop_axis,
    definition=lambda x, axis: along(row_maximum, axis)(x) + log(reduced(exp(_shifted(x, axis)), axis)),
    vjp=lambda G, Y, axis: spread(G, Y.args[0], axis) * along(softmax, axis)(Y.args[0]),
    latex=r"\operatorname{{logsumexp}}({0})", summary="log of each row's sum of exp(x)",
)  # fmt: skip

__all__ = [name for name, value in list(globals().items()) if isinstance(value, Function)]
