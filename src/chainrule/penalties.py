"""Penalties on the weights: expressions of one matrix, added up; biases are free."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass

from chainrule.calls import Call, bind, check_text, format_call, parse_sum
from chainrule.errors import UnknownNameError, nearest
from chainrule.expr import Node, fraction, scale, sum
from chainrule.primitives import abs

PER_SAMPLE = "n"  # what a penalty is divided by, as it is written: l2(0.01)/n
MEASURES: dict[str, Callable[[Node], Node]] = {
    "l1": lambda W: sum(abs(W)),  # the subgradient at 0 is 0
    "l2": lambda W: scale(sum(W * W), "1/2"),
}
"""What each kind measures of a weight matrix; its strength multiplies it."""


@dataclass(frozen=True)
class Penalty:
    """A sum of terms, each a kind, a strength, and whether it is divided by the number of rows of a minibatch."""

    terms: tuple[tuple[str, float, bool], ...] = ()

    def __add__(self, other: Penalty) -> Penalty:
        return Penalty((*self.terms, *other.terms))

    def __call__(self, W: Node, total: Node) -> Node | None:
        """The penalty of one weight matrix; `total` is the n, or the sum of weights, of terms per sample."""
        out: Node | None = None
        for kind, strength, per_sample in self.terms:
            if strength:
                term = scale(MEASURES[kind](W), strength, *([(total, -1)] if per_sample else []))
                out = term if out is None else out + term
        return out

    def __str__(self) -> str:
        """As the command line takes it: l2(0.01) + l1(0.001)/n, divided by n where it is per sample."""
        return " + ".join(
            format_call(Call(kind, (strength,))) + f"/{PER_SAMPLE}" * per_sample
            for kind, strength, per_sample in self.terms
        )


def _term(kind: str, strength: float, per_sample: float) -> Penalty:
    if not (math.isfinite(strength) and strength >= 0):
        raise ValueError(f"the strength of {kind} is a finite number of at least 0, got {strength!r}")
    if per_sample not in (0, 1):
        raise ValueError(f"per_sample of {kind} is true or false, got {per_sample!r}")
    return Penalty(((kind, float(strength), bool(per_sample)),))


def l1(strength: float, *, per_sample: bool = False) -> Penalty:
    """Penalize absolute weights: strength times the sum of |W|.

    Parameters
    ----------
    strength : float
        Not negative.
    per_sample : bool
        Divide by the number of rows, or the sum of weights, of the minibatch.

    Examples
    --------
    >>> import chainrule as cr
    >>> print(cr.Network("4 -> 3 softmax", penalty=cr.l1(0.1)).derive()["dW1"])
    dW1 = X' dZ1 + 0.1 sign(W1)
    """
    return _term("l1", strength, per_sample)


def l2(strength: float, *, per_sample: bool = False) -> Penalty:
    """Penalize squared weights: (strength/2) times the sum of W o W, with gradient strength W.

    Parameters
    ----------
    strength : float
        Not negative.
    per_sample : bool
        Divide by the number of rows, or the sum of weights, of the minibatch.

    Examples
    --------
    >>> import chainrule as cr
    >>> print(cr.Network("4 -> 3 softmax", penalty=cr.l2(0.1)).derive()["dW1"])
    dW1 = X' dZ1 + 0.1 W1
    """
    return _term("l2", strength, per_sample)


def elastic_net(strength: float, l1_ratio: float = 0.5, *, per_sample: bool = False) -> Penalty:
    """Mix l1(strength l1_ratio) and l2(strength (1 - l1_ratio)), as scikit-learn's elastic net does.

    Examples
    --------
    >>> import chainrule as cr
    >>> print(cr.elastic_net(0.1, 0.25))
    l1(0.025) + l2(0.075)
    """
    if not 0 <= l1_ratio <= 1:
        raise ValueError(f"l1_ratio is a number from 0 to 1, got {l1_ratio!r}")
    first = float(fraction(strength) * fraction(l1_ratio))  # 0.1 of 0.3 is 0.03, not 0.03 and a rounding error
    rest = float(fraction(strength) * (1 - fraction(l1_ratio)))
    return l1(first, per_sample=per_sample) + l2(rest, per_sample=per_sample)


PENALTIES: dict[str, Callable[..., Penalty]] = {f.__name__: f for f in (l1, l2, elastic_net)}


def find_penalty(wanted: Penalty | str | None) -> Penalty:
    """The penalty of a text such as "l2(0.01) + l1(0.001)"; none for None."""
    if isinstance(wanted, Penalty):
        return wanted
    total = Penalty()
    if wanted is None:
        return total
    check_text("a penalty", wanted, "l2(0.01)")
    for call in parse_sum(wanted, over={PER_SAMPLE: ("per_sample", 1.0)}):
        if call.name not in PENALTIES:
            raise UnknownNameError(f"unknown penalty {call.name!r}{nearest(call.name, PENALTIES)}")
        parameters = inspect.signature(PENALTIES[call.name]).parameters.values()
        defaults = {p.name: None if p.default is p.empty else p.default for p in parameters}
        values = bind(call, defaults.items(), wanted)
        total += PENALTIES[call.name](**dict(zip(defaults, values, strict=True)))
    return total


__all__ = list(PENALTIES)
