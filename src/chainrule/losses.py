"""Losses: plain functions that build expressions, with no derivative, LaTeX or kernel of their own.

Each states the loss of every entry; the record says how entries are averaged, what outputs and targets have meaning.
Mean over rows of the sum over outputs, except the two named `mean_...`, which average over entries.
"""

from __future__ import annotations

import inspect
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from importlib import import_module
from numbers import Real
from typing import Any, Literal

from chainrule.asked import check_word
from chainrule.calls import Call, bind, check_text, format_call, parse_call
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
FACTS: dict[Targets, tuple[str, ...]] = {
    "distribution": ("rows_sum_to_one", "nonnegative"),
    "unit": ("nonnegative", "unit"),
    "nonnegative": ("nonnegative",),
    "signs": ("signs",),
}
ANYWHERE = Interval()
PROBABILITIES = Interval(0, 1)
REDUCTIONS = ("mean", "sum")


@dataclass(frozen=True, eq=False, kw_only=True)
class Loss:
    """A loss, callable on the outputs and the targets. Given numbers only, it returns itself with these parameters."""

    name: str
    entries: Callable[..., Node]  # (A, Y, *parameters) -> the loss of every entry, of the shape of A
    parameters: dict[str, float] = field(default_factory=dict)
    values: tuple[float, ...] = ()
    over: Literal["rows", "entries"] = "rows"
    outputs: Interval = ANYWHERE  # where outputs must lie for the loss to have a meaning
    joint: bool | None = None  # must the outputs of a row be one distribution?
    targets: Targets = "real"
    partner: str = "identity"  # the activation that usually comes before
    check: Callable[..., bool] = lambda *values: True
    elsewhere: tuple[str, ...] = ()  # its names in other libraries, for suggestions
    home: str = __name__  # the module that enters it: another process imports it again

    def __call__(self, *args: Any, weights: Node | None = None, reduction: str = "mean", **named: float) -> Any:
        """Build the 1 x 1 loss of outputs A (n x k) and targets Y (n x k), rows weighted by `weights` (n x 1)."""
        if not any(isinstance(a, Node) for a in args):
            return replace(self, values=self._bind(args, named))
        (A, Y), rest = args[:2] if len(args) > 1 else (args[0], None), args[2:]
        if not isinstance(A, Node) or not isinstance(Y, Node):
            raise TypeError(f"{self.name} takes two expressions, outputs and targets, got {A!r} and {Y!r}")
        if A.shape != Y.shape:
            raise ShapeError(
                f"{self.name} compares outputs {show(A.shape)} with targets {show(Y.shape)}: give one shape"
            )
        values = self._bind(rest, named)
        return reduced_loss(self.entries(A, Y, *values), weights=weights, reduction=reduction, over=self.over)

    def _bind(self, args: tuple[Any, ...], named: dict[str, Any]) -> tuple[float, ...]:
        for value in (*args, *named.values()):
            if not isinstance(value, Real):
                raise TypeError(f"{self.name} takes expressions, or numbers as parameters, got {type(value).__name__}")
        values = bind(Call(self.name, args, tuple(named.items())), zip(self.parameters, self.values, strict=True))
        if not all(map(math.isfinite, values)) or not self.check(*values):
            got = ", ".join(f"{name}={value:g}" for name, value in zip(self.parameters, values, strict=True))
            raise ValueError(f"{self.name} needs {self.check.__doc__}, got {got}")
        return tuple(map(float, values))

    def __str__(self) -> str:
        """As the command line takes it: huber(0.5)."""
        at_defaults = self.values == tuple(self.parameters.values())
        return format_call(Call(self.name, () if at_defaults else self.values))

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (str(self), self.home)


def reduced_loss(entries: Node, *, weights: Node | None, reduction: str, over: str = "rows") -> Node:
    """1' M 1 / n, or the weighted mean (w' M 1)/s with s = 1' w; with reduction="sum" nothing is divided by rows."""
    rows, columns = entries.shape
    check_reduction(reduction)
    left = ones(rows) if weights is None else weights
    total = left.T @ entries @ ones(columns)
    if over == "entries":
        total = total / size(columns)
    if reduction == "sum":
        return total
    return total / size(rows) if weights is None else scale(total, 1, (total_weight(weights), -1))


def check_reduction(reduction: str) -> None:
    """Refuse what is neither a mean nor a sum over rows."""
    check_word("unknown reduction", reduction, REDUCTIONS)


def total_weight(weights: Node) -> Node:
    """s = 1' w, by name: the denominator of a weighted mean."""
    return define("s", ones(weights.shape[0]).T @ weights)


def check_pair(loss: Loss, ending: Function, width: int, name: str = "") -> str | None:
    """Refuse a loss on outputs that have no meaning for it; return a note where the pair is merely unusual.

    The outputs have the range and the facts of `ending`; `name` is what to call it.
    """
    name, joint = name or ending.name, "rows_sum_to_one" in ending.facts
    fix = f"end the network in {loss.partner}, or use the loss {ending.partner}"
    if not _within(ending.range, loss.outputs):
        needs = "probabilities" if loss.outputs == PROBABILITIES else "positive outputs"
        raise PairError(
            f"{loss.name} needs {needs}, inside {loss.outputs}, and {name} gives values in {ending.range}: {fix}"
        )
    if loss.joint is not None and joint is not loss.joint:
        what = "one distribution over the outputs" if loss.joint else "each output by itself"
        raise PairError(f"{loss.name} takes {what}, which {name} does not give: {fix}")
    if width == 1 and joint:
        raise PairError(f"{name} over one output is always 1: use 1 logistic, or 2 {name}")
    if width == 1 and loss.targets == "distribution":
        raise PairError(f"{loss.name} over one output has no other target than 1: {fix}")
    made_for_it = LOSSES[ending.partner].outputs != ANYWHERE
    if ending.range == ANYWHERE or name == loss.partner or (made_for_it and loss.name == ending.partner):
        return None
    other = f", and {name} usually goes with {ending.partner}" if made_for_it else ""
    return (
        f"{loss.name} on {name}, whose values lie in {ending.range}: allowed, though {loss.name} usually follows "
        f"{loss.partner}{other}"
    )


def _within(values: Interval, allowed: Interval) -> bool:
    """Do all values lie in the interval allowed? A finite end that is reached must be allowed too."""

    def ends(value: float, end: float) -> bool:
        return value == end and (math.isinf(end) or allowed.closed or not values.closed)

    above = values.low > allowed.low or ends(values.low, allowed.low)
    return above and (values.high < allowed.high or ends(values.high, allowed.high))


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
    facts = {"home": sys._getframe(1).f_globals["__name__"], "values": tuple(parameters.values())} | facts
    LOSSES[name] = Loss(name=name, entries=entries, parameters=parameters, **facts)
    return LOSSES[name]


def find_loss(wanted: str | Loss) -> Loss:
    """The loss of a name such as "huber(0.5)"."""
    if isinstance(wanted, Loss):
        return wanted
    check_text("a loss", wanted, "huber(0.5)")
    call = parse_call(wanted)
    if call.name not in LOSSES:
        raise UnknownNameError(f"unknown loss {call.name!r}{_suggestion(call.name)}")
    found = LOSSES[call.name]
    values = bind(call, found.parameters.items(), wanted)
    return found if values == found.values else found(*values)


def _suggestion(name: str) -> str:
    """The loss that has this name elsewhere, or the nearest."""
    known = next((each.name for each in LOSSES.values() if name.casefold() in each.elsewhere), "")
    return f"; did you mean {known!r}?" if known else nearest(name, LOSSES)


def _restored(text: str, home: str) -> Loss:
    if parse_call(text).name not in LOSSES:
        import_module(home)
    return find_loss(text)


def _square(R: Node) -> Node:
    return R * R


def _smoothed(Y: Node, eps: float) -> Node:
    """(1 - eps) Y + eps/K."""
    return Y if eps == 0 else (1 - eps) * Y + scale(full(1, Y.shape), eps) / size(Y.shape[1])


def _below_one(eps: float) -> bool:
    """0 <= label_smoothing < 1"""
    return 0 <= eps < 1


def _positive(delta: float) -> bool:
    """delta > 0"""
    return delta > 0


def _fraction(q: float) -> bool:
    """0 < q < 1"""
    return 0 < q < 1


huber_of = elementwise(
    "huber_of",
    lambda r, delta=1.0: minimum(abs(r), delta) * (abs(r) - 0.5 * minimum(abs(r), delta)),
    d=lambda r, y, delta: minimum(maximum(r, -delta), delta),
    rule="huber", text="huber({0})", latex=r"h({0})", knots=lambda delta: (-delta, delta), check=_positive,
    summary="r^2/2 within delta of 0, delta (|r| - delta/2) beyond (Huber 1964)",
)  # fmt: skip
log_cosh_of = elementwise(
    "log_cosh_of", lambda r: abs(r) + softplus(-2 * abs(r)) - math.log(2), d=lambda r, y: tanh(r),
    rule="log_cosh", text="log_cosh({0})", latex=r"\log\cosh({0})", summary="log(cosh(r)) without overflow",
)  # fmt: skip

cross_entropy = loss(
    "cross_entropy", lambda A, Y, label_smoothing=0.0: -(_smoothed(Y, label_smoothing) * log(A)),
    outputs=PROBABILITIES, targets="distribution", partner="softmax", check=_below_one,
    elsewhere=("nll", "nll_loss", "nllloss", "ce", "log_loss", "logloss", "categorical_crossentropy"),
)  # fmt: skip
binary_cross_entropy = loss(
    "binary_cross_entropy", lambda A, Y: -(Y * log(A) + (1 - Y) * log(1 - A)),
    outputs=PROBABILITIES, joint=False, targets="unit", partner="logistic",
    elsewhere=("bce", "bceloss", "bcewithlogitsloss", "binary_crossentropy"),
)  # fmt: skip
kl_divergence = loss(
    "kl_divergence", lambda A, Y: x_log_x(Y) - Y * log(A),
    outputs=PROBABILITIES, joint=True, targets="distribution", partner="softmax",
)  # fmt: skip
half_squared_error = loss("half_squared_error", lambda A, Y: 0.5 * _square(A - Y))
squared_error = loss("squared_error", lambda A, Y: _square(A - Y))
mean_squared_error = loss(
    "mean_squared_error", lambda A, Y: _square(A - Y), over="entries", elsewhere=("mse", "mseloss")
)
mean_absolute_error = loss(
    "mean_absolute_error", lambda A, Y: abs(A - Y), over="entries", elsewhere=("mae", "l1", "l1loss")
)
huber = loss("huber", lambda A, Y, delta=1.0: huber_of(A - Y, delta), check=_positive, elsewhere=("smooth_l1",))
log_cosh = loss("log_cosh", lambda A, Y: log_cosh_of(A - Y))
quantile = loss(
    "quantile", lambda A, Y, q=0.5: q * (Y - A) + maximum(A - Y, 0), check=_fraction, elsewhere=("pinball",)
)
poisson = loss("poisson", lambda A, Y: A - Y * log(A), outputs=Interval(0), targets="nonnegative", partner="softplus")
hinge = loss("hinge", lambda A, Y: maximum(1 - Y * A, 0), targets="signs")
squared_hinge = loss("squared_hinge", lambda A, Y: _square(maximum(1 - Y * A, 0)), targets="signs")

__all__ = [*LOSSES, "huber_of", "log_cosh_of"]
