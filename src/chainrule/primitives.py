"""The primitives of the rule book, one record each: what every other function is defined over.

A derivative may use the output: `d(x, y)`. At a kink a subgradient is used, stated in the record; where a function
jumps it has no derivative, and that of its sides is used.
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

at_zero = lambda *parameters: (0.0,)  # a kink or a jump at 0, read as data in the records below


def _in_python(template: str) -> dict[str, str]:
    """What Python's own operators say, for numbers and arrays alike."""
    return dict.fromkeys(("numpy", "array-api", "torch", "jax", "python"), template)


def _special(name: str) -> dict[str, str]:
    """NumPy and JAX have some functions in libraries beside them."""
    return {
        "numpy": f"scipy.special.{name}({{0}})",
        "numpy-inplace": f"scipy.special.{name}({{0}}, out={{out}})",
        "array-api": f"scipy.special.{name}({{0}})",
        "jax": f"jax.scipy.special.{name}({{0}})",
    }


exp = elementwise("exp", d=lambda x, y: y, kernel=np.exp, called="exp", latex=r"\exp({0})", range=Interval(0))
log: Function = elementwise("log", d=lambda x, y: reciprocal(x), kernel=np.log, called="log", latex=r"\log({0})")
log1p: Function = elementwise(
    "log1p", d=lambda x, y: reciprocal(1 + x), kernel=np.log1p, called="log1p", latex=r"\log(1 + {0})"
)
expm1: Function = elementwise("expm1", d=lambda x, y: exp(x), kernel=np.expm1, called="expm1", latex=r"(\exp({0}) - 1)")
sin: Function = elementwise("sin", d=lambda x, y: cos(x), kernel=np.sin, called="sin", latex=r"\sin({0})")
cos: Function = elementwise("cos", d=lambda x, y: -sin(x), kernel=np.cos, called="cos", latex=r"\cos({0})")
erf = elementwise(
    "erf", d=lambda x, y: scale(exp(-(x * x)), 2 / math.sqrt(math.pi)),
    kernel=lambda x: scipy.special.erf(x), range=Interval(-1, 1), called="erf", code=_special("erf"),
)  # fmt: skip
erfc = elementwise(
    "erfc", d=lambda x, y: scale(exp(-(x * x)), -2 / math.sqrt(math.pi)),
    kernel=lambda x: scipy.special.erfc(x), range=Interval(0, 2), called="erfc", code=_special("erfc"),
    summary="1 - erf(x), accurate where erf(x) is nearly 1",
)  # fmt: skip
sqrt: Function = elementwise(
    "sqrt", d=lambda x, y: scale(reciprocal(y), "1/2"), kernel=np.sqrt, called="sqrt", latex=r"\sqrt{{{0}}}",
    range=Interval(0, closed=True), poles=at_zero,
)  # fmt: skip
abs: Function = elementwise(  # the public name is cr.abs
    "abs", d=lambda x, y: sign(x), kernel=np.abs, called="abs", latex=r"|{0}|", text="|{0}|", kinks=at_zero,
    code={"python": "abs({0})", "c": "fabs({0})"},
    range=Interval(0, closed=True), summary="the subgradient at 0 is 0",
)  # fmt: skip
sign: Function = elementwise(
    "sign", d=lambda x, y: full(0, x.shape), kernel=np.sign, called="sign",
    code={"python": "(({0} > 0) - ({0} < 0))", "c": "(double)(({0} > 0) - ({0} < 0))"},
    range=Interval(-1, 1, closed=True), jumps=at_zero, summary="sign(0) = 0",
)  # fmt: skip
step = elementwise(
    "step", d=lambda x, y: full(0, x.shape), kernel=lambda x: np.heaviside(x, 0), numpy="np.heaviside({0}, 0)",
    code={
        "numpy-inplace": "np.greater({0}, 0, out={out})", "array-api": "xp.clip(xp.sign({0}), 0, None)",
        "octave": "({0} > 0)", "torch": "({0} > 0).to({0}.dtype)", "jax": "jnp.heaviside({0}, 0)",
        "python": "({0} > 0)", "c": "({0} > 0 ? 1.0 : 0.0)",
    },
    boolean="({0} > 0)", latex=r"[{0} > 0]", text="[{0} > 0]", range=Interval(0, 1, closed=True), jumps=at_zero,
    summary="1 where x > 0, else 0: step(0) = 0",
)  # fmt: skip
reciprocal: Function = elementwise(
    "reciprocal", d=lambda x, y: -(y * y), kernel=lambda x: 1 / x, latex=r"\frac{{1}}{{{0}}}",
    text="1/{0}", code=_in_python("1 / {0}") | {
        "numpy-inplace": "np.divide(1, {0}, out={out})", "octave": "1 ./ {0}", "c": "1.0 / {0}",
    },
)  # fmt: skip
power: Function = elementwise(
    "power", d=lambda x, y, k: scale(power(x, k - 1), k) if k - 1 else full(1, x.shape),
    kernel=lambda x, k: x**k, code=_in_python("{0}**{p0}") | {
        "numpy-inplace": "np.power({0}, {p0}, out={out})", "octave": "{0}.^{p0}", "c": "pow({0}, {p0})",
    }, latex=r"{0}^{{\odot {p0}}}", text="{0}.^{p0}", parameters={"k": 2.0},
    poles=lambda k: (0.0,) if 0 < k < 1 else (), summary="x to the power of a constant k",
)  # fmt: skip
tanh: Function = elementwise(
    "tanh", d=lambda x, y: 1 - y * y, kernel=np.tanh, called="tanh", latex=r"\tanh({0})",
    activation=True, range=Interval(-1, 1),
)  # fmt: skip
logistic = elementwise(
    "logistic", lambda x: exp(minimum(x, 0)) * reciprocal(1 + exp(-abs(x))),  # 1 / (1 + exp(-x)) overflows at -800
    d=lambda x, y: y * (1 - y), kernel=lambda x: scipy.special.expit(x),
    code={"torch": "torch.sigmoid({0})", "jax": "jax.nn.sigmoid({0})"},
    latex=r"\sigma({0})", activation=True, range=Interval(0, 1), partner="binary_cross_entropy", aliases=("sigmoid",),
    summary="1 / (1 + exp(-x)), also called sigmoid",
)  # fmt: skip
softplus = elementwise(
    "softplus", lambda x: maximum(x, 0) + log1p(exp(-abs(x))), d=lambda x, y: logistic(x),
    kernel=lambda x: np.logaddexp(0, x), numpy="np.logaddexp(0, {0})",
    code={"numpy-inplace": "np.logaddexp(0, {0}, out={out})", "jax": "jax.nn.softplus({0})"},
    activation=True, initializer="he_uniform", range=Interval(0), summary="log(1 + exp(x))",
)  # fmt: skip
log_softplus = elementwise(
    "log_softplus", lambda x: log(softplus(maximum(x, -40))) + minimum(x + 40, 0),  # below -40, x to the last digit
    d=lambda x, y: exp(-softplus(-x) - y), kernel=lambda x: _log_softplus(x),
    latex=r"\log\operatorname{{softplus}}({0})", summary="log(softplus(x)), which is x where x is very negative",
)  # fmt: skip
x_log_x = elementwise(
    "x_log_x", lambda x: x * log(x + (1 - abs(sign(x)))),  # the logarithm of 1, not of 0
    d=lambda x, y: 1 + log(x), kernel=lambda x: x * np.log(np.where(x == 0, 1, x)),
    numpy="{0} * np.log(np.where({0} == 0, 1, {0}))", latex=r"{0} \log {0}", poles=at_zero,
    summary="x log x, and 0 at 0",
)  # fmt: skip


def _log_softplus(x: Array) -> Array:
    """Below -40, softplus(x) is exp(x) to the last digit."""
    return np.where(x < -40, x, np.log(np.logaddexp(0, np.maximum(x, -40))))


def _binary(
    name: str, to_first: Callable[[Node, Node], Node], kernel: Kernel, words: dict[str, str], summary: str
) -> Function:
    """Record a choice between two matrices: `to_first` is 1 where the first is chosen, else 0."""

    def vjp(G: Node, Y: Node, operand: int) -> Node:
        chosen = to_first(*Y.args)
        return G * (1 - chosen if operand else chosen)

    return record(
        __name__, name, same_shape, vjp, None, called=name, kernel=kernel, operands=2, symmetric=True, ties="kink",
        summary=summary, code=words, latex=rf"\{name[:3]}({{0}}, {{1}})", text=f"{name}({{0}}, {{1}})",
    )  # fmt: skip


maximum: Function = _binary(
    "maximum", lambda a, b: step(a - b), np.maximum,
    {
        "array-api": "xp.clip({0}, {1}, None)", "octave": "max({0}, {1})", "torch": "torch.clamp({0}, min={1})",
        "python": "max({0}, {1})", "c": "fmax({0}, {1})",
    },
    "at a tie the derivative goes to the second operand",
)  # fmt: skip
minimum: Function = _binary(
    "minimum", lambda a, b: 1 - step(a - b), np.minimum,
    {
        "array-api": "xp.clip({0}, None, {1})", "octave": "min({0}, {1})", "torch": "torch.clamp({0}, max={1})",
        "python": "min({0}, {1})", "c": "fmin({0}, {1})",
    },
    "at a tie the derivative goes to the first operand",
)  # fmt: skip


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
    code={
        "array-api": "xp.take(xp.eye({0}.shape[{axis}], dtype={0}.dtype), xp.argmax({0}, axis={axis}), axis={other})",
        "octave": "({0} == max({0}, [], {dim}) & cumsum({0} == max({0}, [], {dim}), {dim}) == 1)",
        "torch": "torch.zeros_like({0}).scatter_({axis}, {0}.argmax(dim={axis}, keepdim=True), 1)",
        "jax": "jax.nn.one_hot({0}.argmax(axis={axis}), {0}.shape[{axis}], axis={axis})",
        "python": "1.0 * all({there} < {here} or ({there} == {here} and {k} >= {own}) for {k} in range({size}))",
        "c": "1.0; {acc} *= ({there} < {here} || ({there} == {here} && {k} >= {own}))",
    },
    facts=("rows_sum_to_one",), ties="jump", summary="1 at the first largest entry of each row, else 0",
)  # fmt: skip
row_maximum = rowwise(
    "row_maximum", vjp=lambda G, Y, axis: spread(G, Y.args[0], axis) * along(first_maximum, axis)(Y.args[0]),
    shape=_drop_axis, kernel=lambda x, axis: x.max(axis=axis, keepdims=True),
    numpy="{0}.max(axis={axis}, keepdims=True)", latex=r"\operatorname{{rowmax}}({0})",
    code={
        "numpy-inplace": "{0}.max(axis={axis}, keepdims=True, out={out})",
        "array-api": "xp.max({0}, axis={axis}, keepdims=True)", "octave": "max({0}, [], {dim})",
        "torch": "{0}.amax(dim={axis}, keepdim=True)", "jax": "{0}.max(axis={axis}, keepdims=True)",
        "python": "max({there} for {k} in range({size}))", "c": "-INFINITY; {acc} = fmax({acc}, {there})",
    },
    ties="kink", summary="the largest entry of each row; the derivative goes to the first of equals",
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
    code={"torch": "torch.softmax({0}, dim={axis})", "jax": "jax.nn.softmax({0}, axis={axis})"},
    activation=True, range=Interval(0, 1), facts=("rows_sum_to_one", "nonnegative"), partner="cross_entropy",
    summary="exp(x) divided by its row's sum",
)  # fmt: skip
log_softmax = rowwise(
    "log_softmax", definition=_log_softmax,
    vjp=lambda G, Y, axis: G - along(softmax, axis)(Y.args[0]) * totals(G, axis),
    code={"torch": "torch.log_softmax({0}, dim={axis})", "jax": "jax.nn.log_softmax({0}, axis={axis})"},
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
