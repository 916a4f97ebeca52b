"""Penalties on the weights: expressions of one matrix, added up; biases are free."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from chainrule.errors import UnknownNameError, nearest
from chainrule.expr import Node, scale, sum
from chainrule.primitives import abs

PENALTIES: dict[str, Callable[[Node], Node]] = {
    "l1": lambda W: sum(abs(W)),  # the subgradient at 0 is 0
    "l2": lambda W: scale(sum(W * W), "1/2"),
}
"""What each kind measures of a weight matrix; its strength multiplies it."""


@dataclass(frozen=True)
class Penalty:
    """A sum of terms, each a kind, a strength, and whether it is divided by the number of rows of a minibatch."""

    terms: tuple[tuple[str, float, bool], ...]

    def __add__(self, other: Penalty) -> Penalty:
        return Penalty((*self.terms, *other.terms))

    def __call__(self, W: Node, total: Node | int = 1) -> Node | None:
        """The penalty of one weight matrix; `total` is the n, or the sum of weights, of terms per sample."""
        out: Node | None = None
        for kind, strength, per_sample in self.terms:
            if strength:
                term = scale(PENALTIES[kind](W), strength)
                term = term / total if per_sample else term
                out = term if out is None else out + term
        return out

    def __str__(self) -> str:
        """As the command line takes it: l2(0.01) + l1(0.001)."""
        return " + ".join(f"{kind}({strength:g})" for kind, strength, _ in self.terms)


def penalty(kind: str, strength: float, *, per_sample: bool = False) -> Penalty:
    """One term of a penalty, by name."""
    if kind not in PENALTIES:
        raise UnknownNameError(f"unknown penalty {kind!r}{nearest(kind, PENALTIES)}")
    if not (math.isfinite(strength) and strength >= 0):
        raise ValueError(f"the strength of {kind} is a finite number of at least 0, got {strength!r}")
    return Penalty(((kind, float(strength), per_sample),))


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
    return penalty("l1", strength, per_sample=per_sample)


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
    return penalty("l2", strength, per_sample=per_sample)


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
    return l1(strength * l1_ratio, per_sample=per_sample) + l2(strength * (1 - l1_ratio), per_sample=per_sample)


__all__ = ["elastic_net", "l1", "l2"]
