"""Losses: plain functions that build expressions, with no derivative, LaTeX or kernel of their own.

Each states the loss of every entry; the record says how entries are averaged, what outputs and targets have meaning.
Mean over rows of the sum over outputs, except the two named `mean_...`, which average over entries.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from chainrule.errors import PairError, ShapeError, UnknownNameError, nearest
from chainrule.expr import Node, define, full, ones, scale, size
from chainrule.functions import Function, Interval, elementwise
from chainrule.primitives import abs, log, maximum, minimum, softplus, tanh, x_log_x
from chainrule.shapes import show

Targets = Literal["real", "distribution", "unit", "nonnegative", "signs"]
TARGETS: dict[Targets, str] = {
    "real": "finite numbers",
    "distribution": "rows of probabilities that sum to one (one-hot, or class labels 0 to k-1)",
    "unit": "numbers from 0 to 1",
    "nonnegative": "numbers of at least 0",
    "signs": "-1 or 1",
}
FACTS: dict[Targets, tuple[str, ...]] = {"distribution": ("rows_sum_to_one", "nonnegative"), "nonnegative": ("nonnegative",)}
PROBABILITIES = Interval(0, 1)


@dataclass(frozen=True, eq=False, kw_only=True)
class Loss:
    """A loss, callable on the outputs and the targets. Given numbers only, it returns itself with these parameters."""

    name: str
    entries: Callable[..., Node]  # (A, Y, *parameters) -> the loss of every entry, of the shape of A
    parameters: dict[str, float] = field(default_factory=dict)
    values: tuple[float, ...] = ()
    over: Literal["rows", "entries"] = "rows"
    outputs: Interval = Interval()  # where outputs must lie for the loss to have a meaning
    joint: bool | None = None  # must the outputs of a row be one distribution?
    targets: Targets = "real"
    partner: str = "identity"  # the activation that usually comes before
    check: Callable[..., bool] = lambda *values: True

    def __call__(
        self, *args: Any, weights: Node | None = None, reduction: Literal["mean", "sum"] = "mean", **named: float
    ) -> Any:
        """Build the 1 x 1 loss of outputs A (n x k) and targets Y (n x k), rows weighted by `weights` (n x 1)."""
        if not any(isinstance(a, Node) for a in args):
            return replace(self, values=self._bind(args, named))
        A, Y, *rest = args
        if A.shape != Y.shape:
            raise ShapeError(f"{self.name} compares outputs {show(A.shape)} with targets {show(Y.shape)}: give one shape")
        values = self._bind(tuple(rest), named) if rest or named else self.values
        return reduced_loss(self.entries(A, Y, *values), weights=weights, reduction=reduction, over=self.over)

    def _bind(self, args: tuple[Any, ...], named: dict[str, float]) -> tuple[float, ...]:
        names = list(self.parameters)
        given = dict(zip(names, args, strict=False)) | named
        takes = ", ".join(f"{k}={v:g}" for k, v in self.parameters.items()) or "no parameters"
        if len(args) > len(names) or not set(given) <= set(names):
            raise TypeError(f"{self.name} takes {takes}; got {', '.join(map(str, [*args, *named]))}")
        values = {**dict(zip(names, self.values, strict=True)), **given}
        if not all(math.isfinite(v) for v in values.values()) or not self.check(*values.values()):
            got = ", ".join(f"{k}={v:g}" for k, v in values.items())
            raise ValueError(f"{self.name} takes {takes}, within {self.check.__doc__}; got {got}")
        return tuple(float(v) for v in values.values())

    def __str__(self) -> str:
        """As the command line takes it: huber(0.5)."""
        at_defaults = self.values == tuple(self.parameters.values())
        return self.name if at_defaults else f"{self.name}({', '.join(f'{v:g}' for v in self.values)})"


def reduced_loss(entries: Node, *, weights: Node | None, reduction: str, over: str = "rows") -> Node:
    """1' M 1 / n, or the weighted mean (w' M 1)/s with s = 1' w; with reduction="sum" nothing is divided."""
    rows, columns = entries.shape
    if reduction not in ("mean", "sum"):
        raise UnknownNameError(f"unknown reduction {reduction!r}{nearest(reduction, ('mean', 'sum'))}")
    left = ones(rows) if weights is None else weights
    total = left.T @ entries @ ones(columns)
    if over == "entries":
        total = total / size(columns)
    if reduction == "sum":
        return total
    return total / size(rows) if weights is None else scale(total, 1, (total_weight(weights), -1))


def total_weight(weights: Node) -> Node:
    """s = 1' w, by name: the denominator of a weighted mean."""
    return define("s", ones(weights.shape[0]).T @ weights)


def check_pair(loss: Loss, activation: Function, width: int | str) -> str | None:
    """Refuse a loss on outputs that have no meaning for it; return a note where the pair is merely unusual."""
    of = activation.range
    joint = "rows_sum_to_one" in activation.facts
    inside = loss.outputs.low <= of.low and of.high <= loss.outputs.high
    touches = of.closed and not loss.outputs.closed and (of.low == loss.outputs.low or of.high == loss.outputs.high)
    if not inside or touches:
        needs = "probabilities" if loss.outputs == PROBABILITIES else "positive outputs"
        raise PairError(
            f"{loss.name} needs {needs}, inside {loss.outputs}, and {activation.name} gives values in {of}: "
            f"end the network in {loss.partner}, or use the loss {activation.partner}"
        )
    if loss.joint is not None and joint is not loss.joint:
        what = "one distribution over the outputs" if loss.joint else "each output by itself"
        raise PairError(
            f"{loss.name} takes {what}, which {activation.name} does not give: "
            f"end the network in {loss.partner}, or use the loss {activation.partner}"
        )
    if joint and width == 1:
        raise PairError(f"{activation.name} over one output is always 1: use 1 logistic, or 2 {activation.name}")
    if loss.name == activation.partner or of == Interval():
        return None
    if loss.partner == activation.name:
        return None
    return (
        f"{loss.name} on {activation.name}, whose values lie in {of}: allowed, though {loss.name} usually follows "
        f"{loss.partner}, and {activation.name} usually goes with {activation.partner}"
    )


LOSSES: dict[str, Loss] = {}


def loss(name: str, entries: Callable[..., Node], **facts: Any) -> Loss:
    """Record a loss by the loss of every entry, `entries(A, Y, *parameters)`; a duplicate name is an error.

    The parameters and their defaults are read from the signature; the facts are fields of `Loss`.

    Examples
    --------
    >>> import chainrule as cr
    >>> from chainrule.losses import loss
    >>> cubed = loss("cubed_error", lambda A, Y: cr.abs(A - Y) * (A - Y) * (A - Y))
    >>> A, Y = cr.matrix("A", "n", "k"), cr.matrix("Y", "n", "k")
    >>> cr.text(cubed(A, Y))
    "(1' (|A - Y| ∘ (A - Y) ∘ (A - Y)) 1)/n"
    """
    if name in LOSSES:
        raise ValueError(f"there is already a loss named {name!r}")
    parameters = {p.name: p.default for p in list(inspect.signature(entries).parameters.values())[2:]}
    LOSSES[name] = Loss(name=name, entries=entries, parameters=parameters, values=tuple(parameters.values()), **facts)
    return LOSSES[name]


def _square(R: Node) -> Node:
    return R * R


def _smoothed(Y: Node, eps: float) -> Node:
    """(1 - eps) Y + eps/K."""
    return Y if eps == 0 else (1 - eps) * Y + scale(full(1, Y.shape), eps) / size(Y.shape[1])


def _below_one(eps: float) -> bool:
    """0 <= label_smoothing < 1."""
    return 0 <= eps < 1


def _positive(delta: float) -> bool:
    """delta > 0."""
    return delta > 0


def _fraction(q: float) -> bool:
    """0 < q < 1."""
    return 0 < q < 1


huber_of = elementwise(
    "huber_of",
    lambda r, delta=1.0: minimum(abs(r), delta) * (abs(r) - 0.5 * minimum(abs(r), delta)),
    d=lambda r, y, delta: minimum(maximum(r, -delta), delta),
    text="huber({0})", latex=r"h({0})", kinks=lambda delta: (-delta, delta),
    summary="r^2/2 within delta of 0, delta (|r| - delta/2) beyond (Huber 1964)",
)  # fmt: skip
log_cosh_of = elementwise(
    "log_cosh_of", lambda r: abs(r) + softplus(-2 * abs(r)) - math.log(2), d=lambda r, y: tanh(r),
    text="log_cosh({0})", latex=r"\log\cosh({0})", summary="log(cosh(r)) without overflow",
)  # fmt: skip

cross_entropy = loss(
    "cross_entropy", lambda A, Y, label_smoothing=0.0: -(_smoothed(Y, label_smoothing) * log(A)),
    outputs=PROBABILITIES, targets="distribution", partner="softmax", check=_below_one,
)  # fmt: skip
binary_cross_entropy = loss(
    "binary_cross_entropy", lambda A, Y: -(Y * log(A) + (1 - Y) * log(1 - A)),
    outputs=PROBABILITIES, joint=False, targets="unit", partner="logistic",
)  # fmt: skip
kl_divergence = loss(
    "kl_divergence", lambda A, Y: x_log_x(Y) - Y * log(A),
    outputs=PROBABILITIES, joint=True, targets="distribution", partner="softmax",
)  # fmt: skip
half_squared_error = loss("half_squared_error", lambda A, Y: 0.5 * _square(A - Y))
squared_error = loss("squared_error", lambda A, Y: _square(A - Y))
mean_squared_error = loss("mean_squared_error", lambda A, Y: _square(A - Y), over="entries")
mean_absolute_error = loss("mean_absolute_error", lambda A, Y: abs(A - Y), over="entries")
huber = loss("huber", lambda A, Y, delta=1.0: huber_of(delta)(A - Y), check=_positive)
log_cosh = loss("log_cosh", lambda A, Y: log_cosh_of(A - Y))
quantile = loss("quantile", lambda A, Y, q=0.5: q * (Y - A) + maximum(A - Y, 0), check=_fraction)
poisson = loss(
    "poisson", lambda A, Y: A - Y * log(A), outputs=Interval(0), targets="nonnegative", partner="softplus"
)
hinge = loss("hinge", lambda A, Y: maximum(1 - Y * A, 0), targets="signs")
squared_hinge = loss("squared_hinge", lambda A, Y: _square(maximum(1 - Y * A, 0)), targets="signs")

__all__ = list(LOSSES)
